"""Settings: precedence, origins, refusals, and that each one is documented and read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from engine.errors import InvalidSettings
from engine.settings import ROOT, Settings, flag_name, load, load_with_origins, markdown, unknown_variables


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(data=tmp_path).port == 8188
    (tmp_path / "easel.toml").write_text("port = 1111\nmax_nodes = 5\n")
    assert load(data=tmp_path).port == 1111
    monkeypatch.setenv("EASEL_PORT", "2222")
    assert load(data=tmp_path).port == 2222
    settings, origins = load_with_origins({"data": tmp_path, "port": 3333})
    assert settings.port == 3333
    assert (origins["data"], origins["port"], origins["host"]) == ("flag --data", "flag --port", "default")
    assert origins["max_nodes"] == f"file {tmp_path / 'easel.toml'}"


def test_the_environment_may_name_the_data_folder_whose_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "easel.toml").write_text("precision = 'fp16'\n")
    monkeypatch.setenv("EASEL_DATA", str(tmp_path))
    settings, origins = load_with_origins({})
    assert settings.precision == "fp16"
    assert origins["data"] == "environment EASEL_DATA"


def test_an_empty_variable_and_a_flag_that_is_not_given_count_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_PORT", "")
    assert load(data=tmp_path, port=None, models=[]).port == 8188


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = 99999", "port (file "),
        ("prot = 1", "prot (file "),
        ("port = ", "easel.toml cannot be read"),
        ("data = '/elsewhere'", "sets `data`"),
        ("precision = 'int8'", "precision (file "),
        ("device = 'gpu'", "device (file "),
        ("token = 'short'", "token (file "),
    ],
)
def test_a_wrong_file_is_refused_with_the_setting_and_its_origin(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "easel.toml").write_text(text)
    with pytest.raises(InvalidSettings, match=re.escape(told)):
        load(data=tmp_path)


def test_every_wrong_value_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(data=tmp_path, port=-1, max_depth=1)
    assert "port (flag --port)" in caught.value.message
    assert "max_depth (flag --max-depth)" in caught.value.message


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "easel.toml").write_text("models = ['weights', '/srv/models']\nextra_model_paths = 'paths.yaml'\n")
    settings = load(data=tmp_path)
    assert settings.models == (tmp_path / "weights", Path("/srv/models"))
    assert settings.extra_model_paths == tmp_path / "paths.yaml"


def test_several_folders_in_a_variable_are_separated_as_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MODELS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert load(data=tmp_path).models == (tmp_path / "a", tmp_path / "b")


def test_sizes_take_units(tmp_path: Path) -> None:
    assert load(data=tmp_path, memory_cache="512MiB").memory_cache == 512 * 2**20


def test_what_a_worker_gets_are_the_same_settings_without_the_token(tmp_path: Path) -> None:
    settings = load(data=tmp_path, token="correct horse battery", port=1234)
    text = settings.for_worker()
    assert "correct horse" not in text
    assert "correct horse" not in repr(settings)
    assert Settings.model_validate_json(text).model_dump(exclude={"token"}) == settings.model_dump(exclude={"token"})


def test_a_variable_that_only_looks_like_a_setting_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_PROT", "1")
    assert "EASEL_PROT" in unknown_variables()


def test_the_page_of_settings_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == markdown(), "run `python -m engine.settings > docs/settings.md`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_described_and_documented(name: str) -> None:
    description = Settings.model_fields[name].description or ""
    assert len(description) > 20
    assert f"| `{name}` | `{flag_name(name)}` |" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_read_by_the_program(name: str) -> None:
    sources = [path for folder in ("engine", "nodes") for path in (ROOT / folder).rglob("*.py") if path.name != "settings.py"]
    assert any(re.search(rf"settings\.{name}\b", path.read_text(encoding="utf-8")) for path in sources), f"no code reads settings.{name}"

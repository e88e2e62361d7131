"""Every recorded case this engine covers agrees with its figure, and the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.reference.__main__ import main, replay
from tests.reference.result import Selection, compared, difference

FIGURES = Path(__file__).parents[1] / "data" / "reference"


def states(part: str, selection: Selection | None = None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"ok": [], "wrong": [], "missing": []}
    for result in replay(part, FIGURES, selection or Selection()):
        found[result.state].append(f"{result.name} {result.error} {result.note}")
    return found


@pytest.mark.parametrize(("part", "count"), [("sigmas", 317), ("latents", 500), ("guiders", 192)])
def test_every_case_is_ok_and_none_is_missing(part: str, count: int) -> None:
    found = states(part)
    assert found["wrong"] == []
    assert found["missing"] == []
    assert len(found["ok"]) == count


def test_a_wrong_figure_is_told_apart_and_fails_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [case for case in json.loads((FIGURES / "cases.json").read_text()) if case["name"].startswith("eps/euler/")]
    tensors = load_file(FIGURES / "latents.safetensors")
    tensors["eps/euler/normal"] = tensors["eps/euler/normal"] * 1.001
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    save_file(tensors, tmp_path / "latents.safetensors")
    assert main([str(tmp_path), "--only", "latents"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{len(cases) - 1} ok, 1 wrong, 0 missing"
    assert [line.split()[1] for line in lines if line.endswith(" wrong")] == ["eps/euler/normal"]


def test_a_case_without_its_figure_is_missing_and_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [case for case in json.loads((FIGURES / "cases.json").read_text()) if case["name"].startswith("eps/euler/c")]
    tensors = load_file(FIGURES / "latents.safetensors")
    del tensors[cases[0]["name"]]
    del tensors["cond/4"]  # of two negatives, and nothing else
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    save_file(tensors, tmp_path / "latents.safetensors")
    assert main([str(tmp_path), "--only", "latents"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{len(cases) - 2} ok, 0 wrong, 2 missing"
    assert [line.split()[1] for line in lines if " missing the folder has no figure" in line] == [
        cases[0]["name"],
        "eps/euler/cond_two_negatives",
    ]


def test_the_dump_has_the_folder_s_keys_but_for_inputs(tmp_path: Path) -> None:
    """All but prompts and recorded inputs; sd15 takes minutes and is not among them."""
    written: set[str] = set()
    for part in ("sigmas", "latents", "guiders", "nodes"):
        main([str(FIGURES), "--only", part, "--dump", str(tmp_path / "dump.safetensors")])
        written |= load_file(tmp_path / "dump.safetensors").keys()
    wanted = set().union(*(load_file(FIGURES / f"{name}.safetensors") for name in ("latents", "guiders", "nodes")))
    assert written == {key for key in wanted if not key.startswith("cond/") and "/in." not in key}


def test_other_sizes_seeds_and_steps_replay_and_dump_under_the_same_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder made with another size is replayed at its own size: the dump of one replay is the figure of the next."""
    tensors = load_file(FIGURES / "latents.safetensors")
    cases = [case for case in json.loads((FIGURES / "cases.json").read_text()) if case["name"].startswith("eps/euler/c")]
    for case in cases:
        case.update(seed=5, steps=3, denoise=0.7)
        tensors[case["name"]] = torch.zeros(1, 4, 12, 20)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    save_file(tensors, tmp_path / "latents.safetensors")
    assert main([str(tmp_path), "--only", "latents", "--dump", str(tmp_path / "dump.safetensors")]) == 1
    dumped = load_file(tmp_path / "dump.safetensors")
    assert set(dumped) == {case["name"] for case in cases}
    assert all(value.shape == (1, 4, 12, 20) for value in dumped.values())
    save_file({**tensors, **dumped}, tmp_path / "latents.safetensors")
    capsys.readouterr()
    assert main([str(tmp_path), "--only", "latents"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(cases)} ok, 0 wrong, 0 missing"


def test_a_part_without_a_replay_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "tokens.json").write_text(json.dumps([{"text": "a"}, {"text": "b"}]))
    assert [result.state for result in replay("tokens", tmp_path, Selection())] == ["missing", "missing"]


def test_numbers_at_different_places_are_never_close() -> None:
    assert difference(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0])) == float("inf")
    assert difference(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")])) == 0.0
    assert compared("x", "shape", torch.zeros(2), torch.zeros(3), 1.0).state == "wrong"

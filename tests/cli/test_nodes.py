"""`easel nodes`: the list, one node by either of its ids, and what to do about a wrong id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.errors import MissingNode
from engine.graph.folders import EXAMPLE_WORKFLOWS

PACK = '''
from typing import Annotated, Literal

from pydantic import Field

from engine.graph import Alias, Choice, node


@node("Measure", category="test/deep", aliases=(Alias("OldMeasure"),))
def measure(
    text: str, workflow: Annotated[str, Choice("workflows")], unit: Literal["m", "ft"] = "ft",
    scale: Annotated[int, Field(ge=1, le=18446744073709551615)] = 2,
) -> float:
    """Measure a text.

    More about it.

    Args:
        text: what is measured.
    """
    return len(text) * scale
'''


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "pack.py").write_text(PACK)
    (tmp_path / "custom_nodes" / "broken.py").write_text("import nothing_of_this_name")
    (tmp_path / "easel.toml").write_text("packages = []\n")
    return tmp_path


def nodes(data: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["nodes", *arguments, "--data", str(data)])
    if done.exception is not None:
        raise done.exception
    return done.output


def test_the_list_has_each_node_under_its_category_and_tells_what_did_not_load(data: Path) -> None:
    shown = nodes(data)
    assert "test/deep\n  Measure  Measure a text.\n" in shown
    assert "not loaded: easel_custom_nodes.broken: ModuleNotFoundError" in shown


@pytest.mark.parametrize("id", ["Measure", "OldMeasure"])
def test_a_node_is_told_with_types_ranges_defaults_choices_and_help(data: Path, id: str) -> None:
    lines = [line.strip() for line in nodes(data, id).splitlines()]
    assert lines[:2] == ["Measure  (test/deep, version 1.0.0)", "also: OldMeasure"]
    assert "what is measured." in lines
    assert 'unit: COMBO = "ft"' in lines
    assert "one of: m, ft" in lines
    assert "scale: INT 1..18446744073709551615 = 2" in lines
    first_workflow = min(path.name for path in EXAMPLE_WORKFLOWS.glob("*.json"))
    assert any(line.startswith("one of: ") and first_workflow in line for line in lines)
    assert lines[-1].endswith(": FLOAT")


def test_as_json(data: Path) -> None:
    assert json.loads(nodes(data, "Measure", "--json"))["inputs"][0]["name"] == "text"


def test_a_wrong_id_comes_with_the_nearest_one(data: Path) -> None:
    with pytest.raises(MissingNode) as caught:
        nodes(data, "Measur")
    assert "Measure" in caught.value.hint

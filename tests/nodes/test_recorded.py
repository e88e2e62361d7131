"""Pure nodes give what was recorded for them."""

from pathlib import Path

import pytest

from tests.reference.nodes import replay
from tests.reference.result import Result, Selection

FIGURES = Path(__file__).parents[1] / "data" / "reference"
COVERED = ("String", "Regex", "CaseConverter", "Primitive", "EmptyLatentImage")


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(replay(FIGURES, Selection()))


def test_nodes_of_the_modules_string_and_primitive_are_all_ok_and_none_is_missing(results):
    covered = [result for result in results if result.name.startswith(COVERED)]
    assert len(covered) >= 40
    assert [(result.name, result.note) for result in covered if result.state != "ok"] == []


def test_no_node_that_exists_gives_something_else(results):
    assert [(result.name, result.error, result.note) for result in results if result.state == "wrong"] == []

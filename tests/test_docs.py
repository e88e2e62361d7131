"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer

from engine.cli.main import app
from engine.graph.catalogue import NodeInfo
from engine.graph.registry import Registry
from engine.server.app import create_app
from engine.settings import load

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert {"run", "test", "demo", "check", "slow"} <= named <= targets


def test_every_command_is_in_the_readme() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`easel (\w+)", README))
    assert named == commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.fixture(scope="module")
def nodes() -> Mapping[str, NodeInfo]:
    registry = Registry()
    registry.load_package("nodes")
    assert registry.failures == {}
    return registry.catalogue().nodes


def test_every_node_is_explained(nodes: Mapping[str, NodeInfo]) -> None:
    assert not [info.id for info in nodes.values() if not info.help]


def test_the_nodes_in_the_example_of_the_format_have_the_inputs_it_names(nodes: Mapping[str, NodeInfo]) -> None:
    page = (ROOT / "docs" / "workflow_format.md").read_text("utf-8")
    example = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])  # type: ignore[index]
    written = [*example["nodes"].values(), *(node for part in example["subgraphs"].values() for node in part["nodes"].values())]
    for node in written:
        name = node["class_type"]
        known = example["subgraphs"][name[9:]]["inputs"] if name.startswith("subgraph:") else {each.name for each in nodes[name].inputs}
        assert set(node["inputs"]) <= set(known), name


def test_every_route_is_documented(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    served = {(route.method, route.resource.canonical) for route in create_app(load(data=tmp_path)).router.routes() if route.resource}
    twins = {(method, path) for method, path in served if (method, path.removeprefix("/api")) in served and path.startswith("/api/")}
    told = {(method, path) for method, path in served - twins if method != "HEAD"}
    assert not [f"{method} {path}" for method, path in sorted(told) if f"`{method} {path}`" not in page]
    assert not [entry for entry in re.findall(r"`([A-Z]+ /[^`]*)`", page) if tuple(entry.split()) not in served]


def test_the_node_of_the_readme_works(tmp_path: Path) -> None:
    node, test = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "posterize.py").write_text(f"{node}\n{test}")
    registry = Registry()
    registry.load_folder(tmp_path)
    assert registry.failures == {}
    assert registry.definition("Posterize").info.inputs[1].help
    sys.modules["easel_custom_nodes.posterize"].test_two_levels_leave_black_and_white()

"""Several nodes become one, are opened, changed inside, left, run and unpacked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Canvas
from .test_files import GRAPH, drop, easel

pytestmark = pytest.mark.browser


def test_a_subgraph_is_made_opened_changed_run_and_unpacked(canvas: Canvas) -> None:
    page = canvas.page
    more = {**GRAPH, "twice": {"class_type": "Add", "inputs": {"a": ["add", 0], "b": ["add", 0]}}}
    more["show"] = {"class_type": "Show", "inputs": {"values0": ["twice", 0]}}
    drop(canvas, "sum.json", easel(more).encode())
    expect(canvas.nodes).to_have_count(3)
    before = json.loads(canvas.text())["nodes"]
    canvas.click(canvas.title("twice"))
    page.keyboard.press("Control+Shift+E")
    page.get_by_label("Name").fill("Double")
    page.keyboard.press("Enter")
    expect(page.locator("#outline")).to_contain_text("Double")
    page.keyboard.press("e")
    expect(page.locator("#crumbs")).to_contain_text("Double")
    expect(canvas.nodes).to_have_count(1)
    page.evaluate("easel.setInput('twice', 'b', 2)")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(canvas.nodes).to_have_count(3)
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows 44")
    page.keyboard.press("Control+z")
    expect(page.locator("#crumbs")).to_be_hidden()
    canvas.click(canvas.title("double"))
    page.keyboard.press("Control+k")
    page.keyboard.type("unpack")
    page.keyboard.press("Enter")
    expect(page.locator("#outline li[data-id=twice]")).to_be_attached()
    assert json.loads(canvas.text())["nodes"] == before


def test_sockets_of_an_open_subgraph_are_renamed_and_removed_for_its_instances_too(canvas: Canvas) -> None:
    page = canvas.page
    inner = {"sum": {"class_type": "Add", "inputs": {"a": {"__input__": "first"}, "b": {"__input__": "second"}}}}
    declared = {"first": {"type": "INT"}, "second": {"type": "INT", "default": 2}}
    part = {"inputs": declared, "outputs": {"twice": ["sum", 0], "sum": ["sum", 0]}, "nodes": inner}
    instance = {"class_type": "subgraph:part", "inputs": {"first": 40, "second": 9}}
    nodes = {"part": instance, "show": {"class_type": "Show", "inputs": {"values0": ["part", 1]}}}
    drop(canvas, "part.json", easel(nodes, subgraphs={"part": part}).encode())
    expect(canvas.nodes).to_have_count(2)
    canvas.click(canvas.title("part"))
    page.keyboard.press("e")
    expect(page.locator("#crumbs")).to_contain_text("part")
    canvas.click((1200, 600), button="right")
    page.get_by_role("menuitem", name="Inputs and outputs").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name of first").fill("Start")
    dialog.get_by_label("Name of first").press("Enter")
    dialog.get_by_role("button", name="Remove second").click()
    dialog.get_by_role("button", name="Remove twice").click()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#outline li[data-id=sum]")).to_contain_text("b 2")
    page.locator("#crumbs button").first.click()
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows 42")
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert json.loads(canvas.text())["nodes"] == nodes


PART = {
    "inputs": {"first": {"type": "INT"}},
    "outputs": {"sum": ["sum", 0]},
    "nodes": {"sum": {"class_type": "Add", "inputs": {"a": {"__input__": "first"}, "b": 2}}},
}


def sum_of(part: dict[str, Any]) -> bytes:
    nodes = {
        "part": {"class_type": "subgraph:part", "inputs": {"first": 40}},
        "show": {"class_type": "Show", "inputs": {"values0": ["part", 0]}},
    }
    return easel(nodes, subgraphs={"part": part}).encode()


def command(page: Page, words: str) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_a_pasted_subgraph_comes_with_what_it_is_and_mixes_with_no_other_of_its_name(canvas: Canvas) -> None:
    page = canvas.page
    drop(canvas, "sum.json", sum_of(PART))
    expect(canvas.nodes).to_have_count(2)
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    command(page, "new workflow")
    expect(canvas.nodes).to_have_count(0)
    page.keyboard.press("Control+v")
    expect(canvas.nodes).to_have_count(2)
    page.keyboard.press("Control+v")
    expect(canvas.nodes).to_have_count(4)
    assert list(json.loads(canvas.text())["subgraphs"]) == ["part"], "the same one is shared"
    other = {**PART, "nodes": {"sum": {"class_type": "Add", "inputs": {"a": {"__input__": "first"}, "b": 3}}}}
    drop(canvas, "other.json", sum_of(other))
    expect(canvas.nodes).to_have_count(2)
    page.keyboard.press("Control+v")
    expect(page.locator("#news")).to_contain_text("A different part is here; the one that came is part_2.")
    expect(canvas.nodes).to_have_count(4)
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows 43")
    expect(page.locator("#outline li[data-id=show_2]")).to_contain_text("shows 42")


def test_a_subgraph_is_published_found_and_updated(canvas: Canvas, data: Path) -> None:
    page = canvas.page
    drop(canvas, "sum.json", sum_of(PART))
    expect(canvas.nodes).to_have_count(2)
    canvas.click(canvas.title("part"))
    command(page, "publish the subgraph")
    page.get_by_label("Name").fill("Plus two")
    page.keyboard.press("Enter")
    expect(page.locator("#news")).to_contain_text("Plus two is published, version 1.")
    path = data / "workflows" / "subgraphs" / "Plus two.json"
    assert json.loads(path.read_text())["subgraphs"] == {"part": PART}
    page.evaluate("easel.drafts.keep()")

    command(page, "new workflow")
    expect(canvas.nodes).to_have_count(0)
    page.focus("#canvas")
    page.keyboard.press("Shift+A")
    page.keyboard.type("plus two")
    expect(page.locator(".picker li").first).to_contain_text("published subgraph")
    page.keyboard.press("Enter")
    expect(canvas.nodes).to_have_count(1)
    document = json.loads(canvas.text())
    assert document["subgraphs"]["part"]["published"] == {"workflow": "subgraphs/Plus two.json", "revision": 1}
    page.evaluate("easel.setInput('part', 'first', 40)")

    newer = json.loads(path.read_text())
    newer["revision"] = 2
    newer["subgraphs"]["part"]["nodes"]["sum"]["inputs"]["b"] = 60
    path.write_text(json.dumps(newer))
    before = canvas.text()
    command(page, "update the subgraph")
    expect(page.locator("dialog")).to_contain_text("was published as version 1; the library has version 2")
    page.get_by_role("button", name="Update", exact=True).click()
    expect(page.locator("dialog")).to_have_count(0)
    part = json.loads(canvas.text())["subgraphs"]["part"]
    assert part["published"]["revision"] == 2 and part["nodes"]["sum"]["inputs"]["b"] == 60
    page.focus("#canvas")
    page.keyboard.press("Control+z")
    assert canvas.text() == before

    command(page, "publish the subgraph")
    expect(page.get_by_label("Name")).to_have_value("Plus two")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_contain_text("The library has version 2 of Plus two, which yours was not made from.")
    page.get_by_role("button", name="Cancel").click()
    assert json.loads(path.read_text())["revision"] == 2
    path.unlink()

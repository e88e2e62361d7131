"""Several nodes become one, are opened, changed inside, left, run and unpacked."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

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
    expect(page.locator("#outline")).to_contain_text("double")
    page.keyboard.press("e")
    expect(page.locator("#crumbs")).to_contain_text("double")
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

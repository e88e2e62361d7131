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

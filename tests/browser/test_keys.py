"""The one table of keys: each does what it says, and nothing while a text is written."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import Canvas

pytestmark = pytest.mark.browser

BROWSERS_OWN = {"Control+w", "Control+t", "Control+n", "Control+q"}
CLIPBOARD = {"Mod+c", "Mod+x", "Mod+v", "Mod+Shift+v"}
"""The browser makes events of these; what they do is tested with the copies."""


def pressed(key: str) -> str:
    return {"?": "Shift+?"}.get(key, re.sub("^Mod", "Control", key))


def test_every_key_leads_to_its_command_and_only_to_it(canvas: Canvas) -> None:
    page = canvas.page
    table = page.evaluate(
        """() => {
            window.hits = [];
            const all = [...easel.commands.values()];
            for (const command of all) Object.assign(command, { run: () => window.hits.push(command.id), when: () => true });
            return all.map((command) => [command.id, easel.keysOf(command)]);
        }"""
    )
    keys = [(name, key) for name, bound in table for key in bound]
    assert len({key for _, key in keys}) == len(keys) > 50, "no key has two meanings"
    assert not {pressed(key) for _, key in keys} & BROWSERS_OWN
    for name, key in keys:
        if key in CLIPBOARD:
            continue
        page.focus("#canvas")
        page.keyboard.press(pressed(key))
        assert page.evaluate("window.hits.splice(0)") == [name], key
    page.evaluate("document.body.append(Object.assign(document.createElement('input'), {id: 'typing'}))")
    page.focus("#typing")
    for key in ("h", "v", "p", ".", "r", "Delete", "Control+a", "Control+z", "Alt+c"):
        page.keyboard.press(key)
    assert page.evaluate("window.hits.splice(0)") == []


def test_what_the_keys_do(canvas: Canvas) -> None:
    page = canvas.page
    canvas.click(canvas.title("latent"))
    state = {
        "Control+m": "e.doc.get('nodes').get('latent').get('_meta').get('mode')",
        "Control+b": "e.doc.get('nodes').get('latent').get('_meta').get('mode')",
        "Alt+c": "s.nodes.get('latent').collapsed",
        "p": "s.nodes.get('latent').pinned",
        "Control+g": "s.groups.length",
        "Alt+m": "e.minimap",
        "h": "e.locked",
        "v": "e.locked",
        "Alt+=": "e.view.scale",
        ".": "e.view.scale",
        "Control+d": "s.order.length",
        "Control+a": "e.selection.size",
        "Escape": "e.selection.size",
        "Alt+ArrowLeft": "[...e.selection][0]",
        "Shift+L": "e.selection.size",
        "ArrowDown": "s.order.map(n => n.y).join()",
        "Delete": "s.order.length",
        "Control+z": "s.order.length",
        "Control+y": "s.order.length",
    }
    for key, told in state.items():
        before = canvas.ask(told)
        page.keyboard.press(key)
        assert canvas.ask(told) != before, key
    page.keyboard.press("Control+z")
    canvas.click(canvas.title("sampler"))
    page.keyboard.press("F2")
    page.keyboard.type("Painter")
    page.keyboard.press("Enter")
    expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("Painter")
    page.keyboard.press("Enter")  # the first value, and Tab to the next
    page.keyboard.type("5")
    page.keyboard.press("Tab")
    page.keyboard.type("6")
    page.keyboard.press("Enter")
    assert [canvas.value("sampler", name) for name in ("seed", "steps")] == [5, 6]
    page.keyboard.press("Control+f")
    page.keyboard.type("avoid")
    page.keyboard.press("Enter")
    assert canvas.ask("[...e.selection]") == ["negative"]
    page.keyboard.press("Control+k")
    page.keyboard.type("align left")
    expect(page.get_by_role("option", name="Choose all nodes")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Ctrl+Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu")).to_contain_text("Rename")
    page.keyboard.press("Escape")

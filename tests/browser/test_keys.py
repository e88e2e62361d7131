"""The one table of keys: each does what it says, and nothing while a text is written."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from .conftest import PATIENCE, Canvas, Server, ready

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


# What each command of the table with keys does: how it is prepared, a figure of the page, and what that is once the key was pressed.
# `e` is the editor, `s` its scene; dialogs are known by their names.

MODE = "e.doc.get('nodes').get('latent').get('_meta').get('mode') ?? 'run'"
CHOSEN = "[...e.selection].sort().join()"
COUNT = "s.order.length"
DIALOG = "document.querySelector('dialog[open]')?.getAttribute('aria-label') ?? ''"
FIELD = "document.querySelector('.overlay :is(input, textarea)')?.getAttribute('aria-label') ?? ''"
LATENT = "e.select(['latent']); window.at = [s.nodes.get('latent').x, s.nodes.get('latent').y]"
MOVED = "[s.nodes.get('latent').x - window.at[0], s.nodes.get('latent').y - window.at[1]].join()"
MUTED = "e.select(['latent']); easel.does('mute')"
WALKED = "(n => [Math.sign(n.x - window.at[0]), Math.sign(n.y - window.at[1])])(s.nodes.get([...e.selection][0]))"
LOOKS_AT = "(id => { e.select([id]); window.at = [s.nodes.get(id).x, s.nodes.get(id).y]; })"

DOES: dict[str, tuple[str, str, Any]] = {
    "undo": (MUTED, MODE, "run"),
    "redo": (f"{MUTED}; e.undo()", MODE, "mute"),
    "copy": (LATENT, "await navigator.clipboard.readText().then(text => Object.keys(JSON.parse(text).nodes).join())", "latent"),
    "cut": (LATENT, COUNT, 6),
    "paste": ("await navigator.clipboard.writeText(window.copied)", f"{COUNT} + s.links.length", 8 + 9),
    "paste-linked": ("await navigator.clipboard.writeText(window.copied)", f"{COUNT} + s.links.length", 8 + 13),
    "duplicate": (LATENT, COUNT, 8),
    "select-all": ("", "e.selection.size", 7),
    "select-none": (LATENT, CHOSEN, ""),
    "select-downstream": ("e.select(['sampler'])", CHOSEN, "decode,sampler,save"),
    "delete": ("e.select(['save'])", COUNT, 6),
    "heal": ("e.select(['sampler'])", "e.doc.get('nodes').get('decode').get('inputs').get('samples')?.join()", "latent,0"),
    "add": ("", DIALOG, "Add a node"),
    "edit-values": ("e.select(['sampler'])", FIELD, "Sample: seed"),
    "rename": (LATENT, FIELD, "Title"),
    "about": (LATENT, DIALOG, "About Empty Latent Image"),
    "menu": (LATENT, "document.querySelectorAll('[role=menu]').length", 1),
    "connect": (
        "e.select(['sampler']); easel.does('delete'); e.select(['latent', 'decode'])",
        "e.doc.get('nodes').get('decode').get('inputs').get('samples')?.join()",
        "latent,0",
    ),
    "mute": (LATENT, MODE, "mute"),
    "bypass": (LATENT, MODE, "bypass"),
    "collapse": (LATENT, "s.nodes.get('latent').collapsed", True),
    "pin": (LATENT, "s.nodes.get('latent').pinned", True),
    "group": (LATENT, "s.groups.length", 1),
    "subgraph": (LATENT, DIALOG, "A subgraph of the chosen nodes"),
    "enter": (
        "e.select(['latent', 'decode']); easel.does('subgraph');"
        " const make = () => document.querySelector('dialog[open] button[value=\"1\"]');"
        " while (!make()) await new Promise(done => setTimeout(done, 20)); make().click();"
        " while (s.order.length > 6) await new Promise(done => setTimeout(done, 20))",
        "e.inside",
        "group",
    ),
    "nudge-left": (LATENT, MOVED, "-10,0"),
    "nudge-right": (LATENT, MOVED, "10,0"),
    "nudge-up": (LATENT, MOVED, "0,-10"),
    "nudge-down": (LATENT, MOVED, "0,10"),
    "walk-left": (f"{LOOKS_AT}('latent')", f"{WALKED}[0]", -1),
    "walk-right": (f"{LOOKS_AT}('latent')", f"{WALKED}[0]", 1),
    "walk-up": (f"{LOOKS_AT}('latent')", f"{WALKED}[1]", -1),
    "walk-down": (f"{LOOKS_AT}('positive')", f"{WALKED}[1]", 1),
    "fit": ("e.select([]); e.view.zoom(2)", "e.view.fitted", True),
    "zoom-in": ("window.scale = e.view.scale", "e.view.scale > window.scale", True),
    "zoom-out": ("window.scale = e.view.scale", "e.view.scale < window.scale", True),
    "minimap": ("window.map = e.settings.get('minimap')", "e.settings.get('minimap') !== window.map", True),
    "lock": ("e.locked = false", "e.locked", True),
    "unlock": ("e.locked = true", "e.locked", False),
    "find": ("", DIALOG, "Find a node"),
    "open": ("window.asked = ''; HTMLInputElement.prototype.click = function () { window.asked = this.type; }", "window.asked", "file"),
    "save": ("", DIALOG, "Save the workflow as"),
    "save-as": ("", DIALOG, "Save the workflow as"),
    "refresh": ("window.read = 0; easel.events.on('catalogue', () => window.read++)", "window.read > 0", True),
    "palette": ("", DIALOG, "Commands"),
    "sheet": ("", DIALOG, "Keys"),
    **{
        f"panel-{name}": (f"easel.dock.isOpen('{name}') && easel.dock.toggle('{name}')", f"easel.dock.isOpen('{name}')", True)
        for name in ("workflows", "nodes", "models", "gallery", "queue", "training", "log", "settings")
    },
}
OF_JOBS = {"run", "run-first", "run-to", "cancel"}
"""Tested below, with a queue that stands still."""

START = """async () => {
    window.first = easel.editor.root;
    window.begin = () => {
        for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
        document.querySelector('.menu')?.remove();
        const file = { name: '', title: 'Keys', writable: false };
        easel.openDocument({ doc: window.first, style: easel.editor.style, kind: 'easel', notes: [] }, file);
        easel.editor.canvas.focus();
    };
    easel.editor.select(['sampler']);
    await easel.does("copy");
}"""


def test_every_key_does_what_it_says(canvas: Canvas) -> None:
    page = canvas.page
    table = page.evaluate("() => [...easel.commands.values()].map((command) => [command.id, easel.keysOf(command)])")
    keys = [(name, key) for name, bound in table for key in bound]
    assert {name for name, _ in keys} == {*DOES, *OF_JOBS}, "each command with a key says in DOES what it does"
    page.evaluate(START)
    page.evaluate("async () => { window.copied = await navigator.clipboard.readText(); }")
    wrong = {}
    for name, key in keys:
        if name not in DOES:
            continue
        prepared, told, after = DOES[name]
        ask = f"async () => {{ const e = easel.editor, s = e.scene; return {told}; }}"
        page.evaluate("window.begin()")
        page.evaluate(f"async () => {{ const e = easel.editor, s = e.scene; {prepared}; }}")
        page.focus("#canvas")
        if name != "copy":
            assert page.evaluate(ask) != after, f"{name} shows nothing with {key}"
        page.keyboard.press(pressed(key))
        deadline = time.monotonic() + PATIENCE / 1000
        while (found := page.evaluate(ask)) != after and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        if found != after:
            wrong[f"{key} ({name})"] = found
    assert wrong == {}


def test_the_keys_of_jobs(canvas: Canvas, server: Server) -> None:
    page = canvas.page

    api = server.api

    def waiting(count: int) -> list[str]:
        page.wait_for_function("count => easel.jobs.asked === 0 && easel.jobs.waiting.length === count", arg=count)
        return api("GET", "queue/state")["waiting"]

    api("POST", "queue/pause")
    try:
        page.keyboard.press("Control+Enter")
        (first,) = waiting(1)
        page.keyboard.press("Control+Shift+Enter")
        ahead, behind = waiting(2)
        assert behind == first
        canvas.click(canvas.title("latent"))
        page.keyboard.press("Shift+Enter")
        last = waiting(3)[-1]
        assert api("GET", f"jobs/{last}")["targets"] == ["latent"]
        assert api("GET", f"jobs/{first}")["targets"] == ["save"]
        followed = page.evaluate("easel.jobs.followed.id")
        page.keyboard.press("Control+Alt+Enter")
        assert set(waiting(2)) == {first, ahead, last} - {followed}
    finally:
        api("POST", "queue/clear")
        api("POST", "queue/resume")


def test_what_is_typed_with_keys_alone(canvas: Canvas) -> None:
    page = canvas.page
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
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu")).to_contain_text("Rename")


def test_keys_of_ones_own(canvas: Canvas) -> None:
    page = canvas.page

    def keys(command: str) -> Locator:
        return page.locator(f"dialog button[data-command={command}]")

    page.keyboard.press("?")
    expect(keys("collapse")).to_have_text("Alt+C")
    keys("collapse").click()
    page.keyboard.press("Control+w")
    told = page.locator("dialog [role=status]")
    expect(told).to_contain_text("The browser keeps Ctrl+W for itself")
    keys("collapse").click()
    page.keyboard.press("Control+m")
    expect(keys("collapse")).to_have_text("Ctrl+M")
    expect(keys("mute")).to_have_text("none")
    expect(told).to_contain_text("Ctrl+M was: Mute")
    page.keyboard.press("Escape")
    for _ in range(2):
        canvas.click(canvas.title("latent"))
        page.keyboard.press("Alt+c")
        assert not canvas.ask("s.nodes.get('latent').collapsed")
        page.keyboard.press("Control+m")
        assert canvas.ask("s.nodes.get('latent').collapsed")
        page.keyboard.press("Control+z")
        page.reload()  # they are kept
        ready(page)
    page.keyboard.press("?")
    page.get_by_role("button", name="All keys as they were").click()
    expect(keys("mute")).to_have_text("Ctrl+M")
    expect(keys("collapse")).to_have_text("Alt+C")

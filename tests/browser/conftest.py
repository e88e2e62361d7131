"""A real server with the embedded model, and a page of the editor that must not complain."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.server.serving import make_data

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""None: the browser that Playwright brought."""
ELSEWHERE = "192.0.2.1"
"""An address of no machine, under which the browser finds this one: there a page may do only what one of plain http may."""
FLAGS = [
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 600_000
"""Milliseconds in which whatever a test waits for must come: these tests share two busy cores with others."""

COMPLAIN = """
from engine.graph import Context, Shown, node

@node("Complain", category="test", output_node=True, cache="always_run")
def complain(ctx: Context) -> Shown:
    \"\"\"Say something in the log.\"\"\"
    ctx.log.warning("<b>half</b> of it")
    return Shown({"text": ["said"]})

@node("Break", category="test", output_node=True, cache="always_run")
def break_it(ctx: Context) -> Shown:
    \"\"\"Fail as nobody meant it to.\"\"\"
    ctx.log.warning("it cracks")
    return Shown({"text": [{}["lost"]]})
"""

LEAVE = """async () => {
    if (!window.easel?.drafts) return;
    easel.drafts.id = "";
    easel.drafts.unsent.clear();
    await easel.drafts.sending;
}"""
"""The page keeps no more drafts: none reaches the server when the next test has begun."""

expect.set_options(timeout=PATIENCE)


class Server:
    """`server.py` as a process, which a test may stop and start again."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = data
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "server.py", "--data", str(self.data), "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/livez", timeout=10).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "the server does not start"
                time.sleep(0.2)

    def api(self, method: str, path: str) -> Any:
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/v1/{path}", method=method), timeout=PATIENCE / 1000) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def rest(self) -> None:
        """Nothing runs, nothing waits and nothing is unsaved: no test sees another one's work."""
        self.api("POST", "queue/clear")
        self.api("POST", "queue/resume")
        deadline = time.monotonic() + PATIENCE / 1000
        while (running := self.api("GET", "queue/state")["running"]) is not None:
            assert time.monotonic() < deadline, "a job of the test before does not end"
            with contextlib.suppress(urllib.error.HTTPError):  # it may just have ended
                self.api("POST", f"jobs/{running}/cancel")
            time.sleep(0.1)
        for draft in self.api("GET", "drafts")["drafts"]:
            self.api("DELETE", f"drafts/{draft['id']}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE / 1000)


class Canvas:
    """The editor's page as a person uses it: where things are drawn is asked of the page, all else is done with mouse and keys."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.nodes = page.locator("#outline li")

    def ask(self, script: str) -> Any:
        return self.page.evaluate(f"() => {{ const e = easel.editor, s = e.scene; return {script}; }}")

    def at(self, script: str) -> tuple[float, float]:
        """A point of the world, as a script gives it, on the page."""
        corner = "const p = e.view.toScreen(x, y), b = e.canvas.getBoundingClientRect()"
        x, y = self.ask(f"(([x, y]) => {{ {corner}; return [p[0] + b.left, p[1] + b.top]; }})({script})")
        return x, y

    def title(self, node: str) -> tuple[float, float]:
        return self.at(f"(n => [n.x + n.w / 2, n.y + 14])(s.nodes.get('{node}'))")

    def output(self, node: str, slot: int = 0) -> tuple[float, float]:
        return self.at(f"(n => [n.x + n.w, n.y + n.outputs[{slot}].y])(s.nodes.get('{node}'))")

    def input(self, node: str, name: str) -> tuple[float, float]:
        return self.at(f"(n => [n.x, n.y + n.inputs.find(i => i.name === '{name}').y])(s.nodes.get('{node}'))")

    def widget(self, node: str, name: str) -> tuple[float, float]:
        middle = "w => [n.x + n.w / 2, n.y + w.y + Math.min(w.h, 20) / 2]"
        return self.at(f"(n => ({middle})(n.widgets.find(i => i.name === '{name}')))(s.nodes.get('{node}'))")

    def value(self, node: str, name: str) -> Any:
        return self.ask(f"(v => v?.text ?? v)(e.doc.get('nodes').get('{node}').get('inputs').get('{name}'))")

    def text(self) -> str:
        return self.page.evaluate("async () => (await import('/editor/workflow_file.js')).save(easel.editor.doc, easel.editor.style)")

    def click(self, point: tuple[float, float], **how: Any) -> None:
        self.page.mouse.click(*point, **how)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *keys: str) -> None:
        for key in keys:
            self.page.keyboard.down(key)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        self.page.mouse.move(*end, steps=3)
        self.page.mouse.up()
        for key in keys:
            self.page.keyboard.up(key)

    def add(self, point: tuple[float, float], words: str) -> str:
        """Add a node where the ground is empty; gives its id."""
        count = self.nodes.count()
        self.page.mouse.dblclick(*point)
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")
        expect(self.nodes).to_have_count(count + 1)
        return self.ask("[...e.selection][0]")

    def fill(self, node: str, name: str, text: str) -> None:
        """Write into the field of a widget."""
        self.click(self.widget(node, name))
        field = self.page.locator(".overlay input, .overlay textarea")
        field.fill(text)
        field.press("Tab")
        self.page.keyboard.press("Escape")

    def set(self, node: str, name: str, value: int) -> None:
        """Change a value without the pointer, where that is not what is tested."""
        self.page.evaluate("([node, name, value]) => easel.setInput(node, name, value)", [node, name, value])

    def watch(self) -> None:
        """Note from now on what the page shows of jobs, so that a test need not look at the right moment."""
        self.page.evaluate(
            """() => {
                window.seen = new Set();
                easel.events.on('run', (run) => {
                    for (const [id, { state, value }] of run?.states ?? []) window.seen.add(`${id} ${state}`).add(`${id} at ${value}`);
                    window.seen.add(document.querySelector('#status').textContent);
                });
            }"""
        )

    def seen(self) -> set[str]:
        return set(self.page.evaluate("[...window.seen]"))

    def follows(self) -> None:
        """Wait until the page hears what the job that was asked for does."""
        self.page.wait_for_function("() => easel.jobs.asked === 0 && easel.jobs.followed?.source?.readyState === EventSource.OPEN")

    def finished(self, state: str = "succeeded") -> None:
        expect(self.page.locator("#status")).to_have_attribute("data-state", state)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = make_data(tmp_path_factory.mktemp("served") / "data")
    (data / "custom_nodes" / "complain.py").write_text(COMPLAIN)
    running = Server(data)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """As another person, or another machine. Every action in it may take its time."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    return context


def ready(page: Page) -> None:
    """Wait until the page has all that it begins with, the jobs that it follows too."""
    expect(page.locator("body[data-ready]")).to_be_attached()
    page.wait_for_function("() => easel.jobs.before === null")


@pytest.fixture
def canvas(browser: Browser, server: Server) -> Iterator[Canvas]:
    """The first visit: `text_to_image` is open."""
    server.rest()
    allowed = ["clipboard-read", "clipboard-write"]
    context = new_context(browser, viewport={"width": 1400, "height": 860}, permissions=allowed, reduced_motion="reduce")
    page = context.new_page()
    faults: list[str] = []
    told = "Failed to load resource"  # the browser's own line about an answer such as 409
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" and told not in message.text else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server.url)
    expect(page.locator("#outline li")).to_have_count(7)
    ready(page)
    page.focus("#canvas")
    yield Canvas(page)
    assert not faults
    for left in context.pages:
        if left.url.startswith(server.url):
            left.evaluate(LEAVE)
    context.close()


@pytest.fixture
def page(canvas: Canvas) -> Page:
    return canvas.page


@pytest.fixture
def data(server: Server) -> Path:
    """The server's data folder."""
    return server.data

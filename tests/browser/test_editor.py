"""The editor in a real browser, on a real server with the embedded model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = pytest.mark.browser

ARGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = tmp_path_factory.mktemp("data")
    command = [sys.executable, "server.py", "--data", str(data), "--port", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env={**os.environ}, stdout=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{url}/livez", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, "the server does not start"
                time.sleep(0.2)
        yield url
        server.terminate()


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{address}/editor.html")
        expect(page.locator("#outline li")).to_have_count(7, timeout=60_000)
        yield page
        assert not faults
        browser.close()


def test_edit_and_run(page: Page) -> None:
    nodes = page.locator("#outline li")
    page.focus("#canvas")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(nodes).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(nodes).to_have_count(7)
    page.click("#add")
    page.keyboard.type("vae dec")
    page.keyboard.press("Enter")
    expect(nodes).to_have_count(8)
    page.focus("#canvas")
    page.keyboard.press("Delete")
    expect(nodes).to_have_count(7)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_text("succeeded", timeout=120_000)
    expect(page.locator("#problems li")).to_have_count(0)

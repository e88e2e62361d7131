"""The editor in a real browser, on a real server with the embedded model."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


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
    expect(page.locator("#status")).to_have_text("succeeded", timeout=240_000)
    expect(page.locator("#problems li")).to_have_count(0)

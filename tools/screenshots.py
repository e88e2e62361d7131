"""Pictures of the editor's main states: `python -m tools.screenshots` writes them to docs/screenshots.

It starts a server of its own on an empty data folder, uses the page as a person would, and takes a picture of each state.
`--steps 4` makes the run shorter; names of states after it leave the others out.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.editor import FLAGS, served

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
PATIENCE = 600_000
EMPTY = '{"format": "easel/1", "revision": 0, "nodes": {}}'


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 1400, height: int = 860, theme: str = "dark") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    expect(page.locator("body[data-ready]")).to_be_attached(timeout=PATIENCE)
    yield page
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("states", nargs="*", help=", ".join(STATES))
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, served(data) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in given.states or STATES:
            STATES[name](browser, url, given.steps)
        browser.close()


def take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


def the_first_visit(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url) as page:
        take(page, "first_visit")
        page.focus("#canvas")
        page.keyboard.press("Shift+A")
        page.keyboard.type("lora")
        take(page, "add_a_node")
        page.keyboard.press("Escape")
        page.evaluate(f"easel.openText({EMPTY!r}, {{ name: '', title: 'Untitled', writable: false }})")
        take(page, "empty")


def a_run(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url) as page:
        page.evaluate(f"easel.setInput('sampler', 'steps', {steps})")
        page.focus("#canvas")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#status")).to_contain_text(f"/{steps}", timeout=PATIENCE)
        expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("picture", timeout=PATIENCE)
        take(page, "running")
        expect(page.locator("#status")).to_have_attribute("data-state", "succeeded", timeout=PATIENCE)
        expect(page.locator("#outline li[data-id=save]")).to_contain_text("picture", timeout=PATIENCE)
        page.evaluate("easel.does('fit')")
        take(page, "finished")
        for panel in ("gallery", "queue", "record"):
            page.locator(f'[data-panel="{panel}"]').click()
        page.evaluate("easel.does('fit')")
        page.locator(".panel-gallery img").first.wait_for(timeout=PATIENCE)
        take(page, "panels")


def problems(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url) as page:
        page.evaluate("easel.setInput('sampler', 'steps', 0)")
        page.evaluate("easel.setInput('checkpoint', 'ckpt_name', 'gone.safetensors')")
        page.focus("#canvas")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#problems li")).to_have_count(2, timeout=PATIENCE)
        take(page, "problems")


def themes_and_sizes(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url, theme="light") as page:
        page.locator('[data-panel="workflows"]').click()
        page.locator(".panel-workflows li").first.wait_for(timeout=PATIENCE)
        page.evaluate("easel.does('fit')")
        take(page, "light")
    with opened(browser, url, width=400, height=800) as page:
        take(page, "phone")


State = Callable[[Browser, str, int], None]
STATES: dict[str, State] = {"first": the_first_visit, "run": a_run, "problems": problems, "looks": themes_and_sizes}

if __name__ == "__main__":
    main()

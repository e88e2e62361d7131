"""Pictures of the editor's main states: `python -m tools.screenshots` writes them to docs/screenshots.

It starts a server of its own on an empty data folder, uses the page as a person would, and takes a picture of each state.
`--steps 4` makes the run shorter; names of states after it leave the others out.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.editor import FLAGS, served

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
PATIENCE = 600_000
LEAVE = """async () => {
    const { drafts } = easel, id = drafts.id;
    drafts.id = "";
    await drafts.sending;
    await drafts.drop(id);
}"""
"""What a page leaves unsaved is not offered to the next."""
EMPTY = '{"format": "easel/1", "revision": 0, "nodes": {}}'


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 1400, height: int = 860, theme: str = "dark") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    expect(page.locator("body[data-ready]")).to_be_attached(timeout=PATIENCE)
    yield page
    page.evaluate(LEAVE)
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
    """The page as it is, in 192 colours, which is enough for lines and text and a third of the bytes."""
    shot = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    shot.quantize(192, method=Image.Quantize.FASTOCTREE).save(FOLDER / f"{name}.png", optimize=True)


def show(page: Page, *panels: str) -> None:
    """Open panels, and wait until they show something."""
    for panel in panels:
        if not page.evaluate(f"easel.dock.isOpen('{panel}')"):
            page.locator(f'[data-panel="{panel}"]').click()
        expect(page.locator(f".panel-{panel}")).not_to_be_empty(timeout=PATIENCE)


def run(page: Page, steps: int) -> None:
    page.evaluate(f"easel.setInput('sampler', 'steps', {steps})")
    page.focus("#canvas")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_attribute("data-state", "succeeded", timeout=PATIENCE)
    expect(page.locator("#outline li[data-id=save]")).to_contain_text("picture", timeout=PATIENCE)


def the_first_visit(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url) as page:
        take(page, "first_visit")
        page.focus("#canvas")
        page.keyboard.press("Shift+A")
        page.keyboard.type("lora")
        take(page, "add_a_node")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        take(page, "keys")
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
    with opened(browser, url, width=1800) as page:
        for prompt in ("a large blue cross on a yellow background", "a green square on a black background"):
            page.evaluate(f"easel.setInput('positive', 'text', {prompt!r})")
            run(page, steps)
        show(page, "gallery", "record")
        expect(page.locator(".panel-gallery img")).to_have_count(3, timeout=PATIENCE)
        page.evaluate("easel.does('fit')")
        page.wait_for_load_state("networkidle")
        take(page, "panels")
        show(page, "models", "queue")
        page.locator(".panel-models summary").first.click()
        page.locator(".panel-models dl").first.wait_for()
        page.evaluate("easel.does('fit')")
        take(page, "queue")


def problems(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url) as page:
        page.evaluate("easel.setInput('sampler', 'steps', 0)")
        page.evaluate("easel.setInput('checkpoint', 'ckpt_name', 'gone.safetensors')")
        page.focus("#canvas")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#problems li")).to_have_count(2, timeout=PATIENCE)
        show(page, "log")
        page.evaluate("easel.does('fit')")
        take(page, "problems")


def themes_and_sizes(browser: Browser, url: str, steps: int) -> None:
    with opened(browser, url, theme="light") as page:
        run(page, steps)
        show(page, "workflows")
        page.evaluate("easel.does('fit')")
        take(page, "light")
    with opened(browser, url, width=400, height=800) as page:
        run(page, steps)
        page.evaluate("easel.editor.firstLook()")
        take(page, "phone")
        show(page, "gallery")
        page.locator(".panel-gallery img").first.wait_for(timeout=PATIENCE)
        page.wait_for_load_state("networkidle")
        take(page, "phone_gallery")


def pictures(folder: Path) -> list[Path]:
    """Purple stars of several sizes and places: a subject that the embedded model does not know."""
    made = []
    for number in range(12):
        picture, radius, turn = Image.new("RGB", (128, 128), "white"), 30 + 2 * number % 17, 0.12 * number
        x, y = 56 + 5 * number % 19, 58 + 7 * number % 13
        points = [
            (x + r * math.cos(turn + math.pi * corner / 5), y + r * math.sin(turn + math.pi * corner / 5))
            for corner in range(10)
            for r in (radius if corner % 2 else radius * 0.45,)
        ]
        ImageDraw.Draw(picture).polygon(points, fill="purple")
        made.append(folder / f"star_{number:02}.png")
        picture.save(made[-1])
    return made


def a_training(browser: Browser, url: str, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(browser, url) as page:
        show(page, "training")
        page.get_by_role("button", name="New…").click()
        page.get_by_label("Name of the folder").fill("stars")
        page.get_by_role("button", name="Make").click()
        page.set_input_files('.dataset input[type="file"]', pictures(Path(folder)))
        expect(page.locator(".picture")).to_have_count(12, timeout=PATIENCE)
        page.locator(".picture textarea").first.fill("a purple sks star on a white background")
        page.get_by_label("Words that stand for the subject").fill("sks star")
        page.get_by_label("Name of the LoRA").fill("star")
        page.get_by_label("Steps", exact=True).fill(str(4 * steps))
        page.get_by_label("What to draw meanwhile").fill("a purple sks star on a white background")
        page.get_by_text("More settings").click()
        for name, value in {"keep": steps, "measure": max(1, steps // 4)}.items():
            page.locator(f'.fields [name="{name}"]').fill(str(value))
        page.get_by_text("More settings").click()
        page.locator(".buckets summary").click()
        page.locator(".buckets tbody tr").first.wait_for(timeout=PATIENCE)
        take(page, "dataset")
        page.click(".fields button[type=submit]")
        page.evaluate("easel.openWorkflow('train_lora.json').then(() => easel.does('fit'))")
        expect(page.locator(".samples figure")).to_have_count(3, timeout=PATIENCE)
        page.locator(".live").scroll_into_view_if_needed()
        page.locator(".panel-training").evaluate("element => element.scrollTo(0, element.scrollHeight)")
        page.wait_for_load_state("load")
        take(page, "training")
        page.locator(".live").get_by_role("button", name="Stop and save").click()
        expect(page.locator(".live [role=status]")).to_contain_text("done", timeout=PATIENCE)


State = Callable[[Browser, str, int], None]
STATES: dict[str, State] = {
    "first": the_first_visit,
    "run": a_run,
    "problems": problems,
    "looks": themes_and_sizes,
    "training": a_training,
}

if __name__ == "__main__":
    main()

"""The page for those who cannot see it or use a pointer: axe-core finds no serious violations, in both themes and in the main states."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from .conftest import ROOT, Canvas, Server, new_context, ready
from .test_files import OLD

pytestmark = pytest.mark.browser

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHECK = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    const grave = violations.filter((item) => ['serious', 'critical'].includes(item.impact));
    return grave.map((item) => `${item.id}: ${item.nodes.slice(0, 3).map((node) => node.html.slice(0, 150)).join(' | ')}`);
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_no_serious_violations(browser: Browser, server: Server, theme: str) -> None:
    assert AXE.is_file(), "axe-core is missing: make node_modules/installed"
    server.rest()
    (server.data / "output").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(server.data / "output" / "red.png")
    context = new_context(browser, viewport={"width": 1400, "height": 860}, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.url)
    ready(page)
    page.evaluate(AXE.read_text("utf-8") + "; null")
    canvas = Canvas(page)
    found = {"page": page.evaluate(CHECK)}
    page.locator('[data-panel="workflows"]').click()
    page.locator(".panel-workflows li").first.wait_for()
    for panel in ("nodes", "models", "gallery", "queue", "record", "training", "log", "settings"):
        page.locator(f'[data-panel="{panel}"]').click()  # each closes the one before at its side
        expect(page.locator(f".panel-{panel}")).not_to_be_empty()
        found[panel] = page.evaluate(CHECK)
    page.locator('[data-panel="log"]').click()
    canvas.click(canvas.title("sampler"))
    found["panel"] = page.evaluate(CHECK)
    canvas.click(canvas.widget("sampler", "sampler_name"))
    found["field"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+A")
    found["search"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    canvas.click(canvas.title("sampler"), button="right")
    page.get_by_role("menu").wait_for()
    found["menu"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    found["keys"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.locator(".tile button").first.click()  # the gallery is still open at the left
    page.get_by_role("dialog", name="Picture").wait_for()
    found["picture"] = page.evaluate(CHECK)
    page.get_by_role("button", name="Paint a mask").click()
    page.get_by_role("dialog", name="Paint a mask").wait_for()
    found["mask"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.evaluate("() => { easel.does('recover'); }")
    page.get_by_role("dialog", name="Unsaved work").wait_for()
    found["unsaved"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.evaluate("(old) => easel.openText(old, { name: '', title: 'Old', writable: false })", OLD)
    page.get_by_role("dialog", name="Newer versions of nodes").wait_for()
    found["upgrades"] = page.evaluate(CHECK)
    page.keyboard.press("Escape")
    page.evaluate("easel.say('Something is wrong', 'error', 'A hint')")
    found["message"] = page.evaluate(CHECK)
    assert not {state: faults for state, faults in found.items() if faults}
    context.close()

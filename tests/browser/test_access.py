"""The page for those who cannot see it or use a pointer: axe-core finds nothing serious, in both themes, whatever is open."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from .conftest import LEAVE, ROOT, Canvas, Server, new_context, ready
from .test_files import OLD, easel
from .test_subgraphs import PART, sum_of

pytestmark = pytest.mark.browser

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHECK = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    const grave = violations.filter((item) => ['serious', 'critical'].includes(item.impact));
    return grave.map((item) => `${item.id}: ${item.nodes.slice(0, 3).map((node) => node.html.slice(0, 150)).join(' | ')}`);
}"""


@pytest.fixture(params=["dark", "light"])
def page(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """A first visit in each theme, with axe-core."""
    assert AXE.is_file(), "axe-core is missing: make node_modules/installed"
    server.rest()
    (server.data / "output").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(server.data / "output" / "red.png")
    context = new_context(browser, viewport={"width": 1400, "height": 860}, color_scheme=request.param, reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.url)
    ready(page)
    page.evaluate(AXE.read_text("utf-8") + "; null")
    yield page
    page.evaluate(LEAVE)
    context.close()


def test_axe_finds_no_serious_violations(page: Page) -> None:
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


def opened(page: Page, text: str) -> None:
    page.evaluate("(text) => easel.openText(text, { name: '', title: 'Tried', writable: false })", text)


def test_axe_finds_no_serious_violations_in_what_asks_and_lists(page: Page, server: Server) -> None:
    found = {}

    def check(dialog: str) -> None:
        page.get_by_role("dialog", name=dialog).wait_for()
        found[dialog] = page.evaluate(CHECK)

    def asks(question: str) -> None:
        """Whoever presses Enter without reading has done nothing."""
        check(question)
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_have_count(0)

    lost = {f"checkpoints/{name}.safetensors": f"sha256:{digit * 64}" for name, digit in (("lost", "0"), ("gone", "1"))}
    nodes = {name: {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": f"{name}.safetensors"}} for name in ("lost", "gone")}
    opened(page, easel(nodes, requires={"models": lost}))
    page.get_by_role("button", name="Look for it").wait_for()
    found["missing models"] = page.evaluate(CHECK)
    page.get_by_role("button", name="Look for it").click()
    expect(page.locator("dialog li [role=status]").first).not_to_be_empty()
    check("Models that are not here")
    page.keyboard.press("Escape")

    library = server.data / "workflows" / "subgraphs" / "Tried.json"
    library.parent.mkdir(parents=True, exist_ok=True)
    published = {**PART, "published": {"workflow": "subgraphs/Tried.json", "revision": 1}}
    library.write_text(json.dumps({**json.loads(sum_of(PART)), "revision": 2}))
    opened(page, sum_of(published).decode())
    page.evaluate("() => { easel.editor.select(['part']); easel.does('update-subgraph'); }")
    asks("was published as version 1")
    page.evaluate("() => { easel.does('publish-subgraph'); }")
    check("Publish the subgraph as")
    page.keyboard.press("Enter")
    asks("The library has version 2 of Tried")
    assert json.loads(library.read_text())["revision"] == 2
    library.unlink()
    page.evaluate("() => { easel.does('enter'); }")
    page.evaluate("async () => (await import('/editor/subgraph_ports.js')).openPorts(easel)")
    check("Inputs and outputs of part")
    page.keyboard.press("Escape")

    page.evaluate("() => { easel.editor.enter([]); easel.editor.select(['part']); easel.does('about'); }")
    check("About part")
    page.keyboard.press("Escape")
    page.evaluate("() => { easel.does('save-as'); }")
    check("Save the workflow as")
    page.keyboard.press("Escape")
    page.locator('[data-panel="settings"]').click()
    page.get_by_role("button", name="All settings as they were").click()
    asks("Set everything here")
    assert not {state: faults for state, faults in found.items() if faults}

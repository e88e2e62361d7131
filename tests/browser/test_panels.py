"""The side panels: what they show of the server, and what a click there does to the graph and to the files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from safetensors.numpy import save_file

from tests.server.serving import one

from .conftest import ELSEWHERE, LEAVE, Canvas, Server, new_context, ready
from .test_files import drop, easel

pytestmark = pytest.mark.browser

NODES = "#outline li"


def run(page: Page, state: str = "succeeded") -> None:
    page.focus("#canvas")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_attribute("data-state", state)


def panel(page: Page, name: str) -> None:
    page.click(f'[data-panel="{name}"]')


def test_gallery_leads_back_to_the_graph(page: Page, data: Path) -> None:
    before = set((data / "input").iterdir())
    run(page)
    panel(page, "gallery")
    tile = page.locator(".tile").first
    expect(tile).to_be_visible()
    page.focus("#canvas")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator(NODES)).to_have_count(0)
    tile.locator("button").click()
    page.get_by_role("button", name="Open the graph").click()
    expect(page.locator(NODES)).to_have_count(7)
    tile.locator("button").click()
    page.get_by_role("button", name="Use as input").click()
    expect(page.locator(NODES)).to_have_count(8)
    assert [path.suffix for path in set((data / "input").iterdir()) - before] == [".png"]


def test_two_pictures_are_compared(page: Page, data: Path) -> None:
    folder = data / "output"
    folder.mkdir(exist_ok=True)
    for name, colour in (("one.png", "red"), ("two.png", "blue")):
        Image.new("RGB", (64, 64), colour).save(folder / name)
    panel(page, "gallery")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    for name in ("one.png", "two.png"):
        page.get_by_label(f"Choose {name}").check(force=True)
    compare.click()
    slider = page.locator(".compare input")
    slider.fill("25")
    assert "25" in page.locator(".compare").evaluate("element => getComputedStyle(element).getPropertyValue('--at')")


def test_a_mask_is_painted(page: Page, data: Path) -> None:
    folder = data / "output"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), "green").save(folder / "meadow.png")
    panel(page, "gallery")
    page.fill('input[type="search"]', "meadow")
    expect(page.locator(".tile")).to_have_count(1)
    page.locator(".tile button").click()
    page.get_by_role("button", name="Paint a mask").click()
    box = page.locator(".mask").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4 + 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(NODES)).to_have_count(8)
    alpha = Image.open(data / "input" / "meadow-mask.png").getchannel("A")
    assert alpha.size == (64, 48)
    assert alpha.getpixel((16, 24)) <= 1, "painted"
    assert alpha.getpixel((60, 24)) == 255, "not painted"


def test_models_add_nodes_and_words(page: Page) -> None:
    panel(page, "models")
    card = page.locator(".card", has_text="tiny-shapes.safetensors")
    card.locator("summary").click()
    expect(card.locator("dl")).to_contain_text("F16")
    card.get_by_role("button", name="Add node").click()
    expect(page.locator(NODES)).to_have_count(8)


def test_a_lora_is_put_between_the_model_and_what_uses_it(page: Page, data: Path) -> None:
    for name in ("first", "second"):
        save_file({"x": np.zeros(1, np.float32)}, data / "models" / "loras" / f"{name}.safetensors")
    canvas = Canvas(page)
    page.keyboard.press("r")
    panel(page, "models")
    page.get_by_label("Kind of model").select_option("loras")
    for name in ("first", "second"):
        page.locator(".card", has_text=name).get_by_role("button", name="Add node").click()
    expect(page.locator(NODES)).to_have_count(9)
    names = {canvas.value(node, "lora_name"): node for node in canvas.ask("s.order.filter(n => n.face.id === 'LoraLoader').map(n => n.id)")}
    first, second = names["first.safetensors"], names["second.safetensors"]
    assert [canvas.value(first, name) for name in ("model", "clip")] == [["checkpoint", 0], ["checkpoint", 1]]
    assert [canvas.value(second, name) for name in ("model", "clip")] == [[first, 0], [first, 1]]
    users = [("sampler", "model"), ("positive", "clip"), ("negative", "clip")]
    assert [canvas.value(*user) for user in users] == [[second, 0], [second, 1], [second, 1]]
    assert canvas.value("decode", "vae") == ["checkpoint", 2]


def test_queue_pauses_orders_and_forgets(page: Page, server: Server) -> None:
    panel(page, "queue")
    page.get_by_role("button", name="Pause", exact=True).click()
    resume = page.get_by_role("button", name="Resume")
    expect(resume).to_be_visible()
    page.focus("#canvas")
    for _ in range(3):
        page.keyboard.press("Control+Enter")
    waiting = page.locator('ol[aria-label="Jobs that run or wait"] li')
    expect(waiting).to_have_count(3)
    last = waiting.nth(2).get_attribute("data-id")
    waiting.nth(2).get_by_role("button", name="First").click()
    expect(waiting.nth(0)).to_have_attribute("data-id", last or "")
    waiting.nth(0).get_by_role("button", name="Cancel").click()
    expect(waiting).to_have_count(2)
    resume.click()
    expect(waiting).to_have_count(0)
    over = page.locator('ol[aria-label="Jobs that are over"] li.succeeded')
    gone = over.first.get_attribute("data-id")
    line = page.locator(f'li[data-id="{gone}"]')  # the first may be another by now
    line.get_by_role("button", name="Delete").click()
    expect(line).to_have_count(0)
    assert gone not in {job["id"] for job in server.api("GET", "jobs")["jobs"]}


def test_the_queue_says_when_a_job_may_begin(page: Page, server: Server) -> None:
    run(page)
    panel(page, "queue")
    over = page.locator('ol[aria-label="Jobs that are over"] li')
    expect(over.first).to_have_class("job succeeded")
    drop(Canvas(page), "wait.json", easel(one("Wait", seconds=3000.0)).encode())
    expect(page.locator(NODES)).to_have_count(2)
    page.focus("#canvas")
    for _ in range(3):
        page.keyboard.press("Control+Enter")
    waiting = page.locator('ol[aria-label="Jobs that run or wait"] li')
    expect(waiting).to_have_count(3)
    expect(waiting.nth(0)).to_have_class("job running")
    expect(waiting.nth(0).locator("progress")).not_to_have_js_property("value", 0)  # it is looked at again
    expect(waiting.nth(2)).to_contain_text("starts in about")
    server.api("POST", "queue/pause")
    expect(waiting.nth(2)).not_to_contain_text("starts in about")  # nobody knows when it goes on


def test_the_log_shows_what_the_worker_says_by_level(page: Page, server: Server) -> None:
    panel(page, "log")
    lines = page.locator("ol.log li")
    drop(Canvas(page), "fails.json", easel({"fail": {"class_type": "Complain", "inputs": {}}}).encode())
    expect(page.locator(NODES)).to_have_count(1)
    run(page)
    expect(lines.filter(has_text="<b>half</b> of it")).to_have_count(1)
    page.get_by_label("Search the log").fill("half nothing")
    expect(lines).to_have_text("Nothing was said at this level.")
    page.get_by_label("Search the log").fill("HALF")
    expect(lines.filter(has_text="half")).to_have_count(1)
    page.get_by_label("Least level").select_option("error")
    expect(lines).to_have_text("Nothing was said at this level.")


def test_what_is_set_holds_at_once_and_in_the_next_page(page: Page, data: Path) -> None:
    canvas = Canvas(page)

    def setting(name: str) -> Locator:
        return page.locator(f"[data-setting={name}]")

    page.keyboard.press("Control+,")
    setting("theme").select_option("Light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    setting("links").select_option("Right angles")
    setting("snap").check()
    setting("grid").fill("50")
    setting("grid").press("Tab")
    setting("weight").fill("7")  # out of its range: it stays as it was
    setting("weight").press("Tab")
    expect(setting("weight")).to_have_value("0.05")
    setting("spelling").check()
    setting("wheel").select_option("Moves the view")
    setting("minimap").uncheck()
    setting("metadata").uncheck()
    for _ in range(2):
        assert canvas.ask("s.shape") == "square"
        canvas.drag(canvas.title("latent"), canvas.at("(n => [n.x + n.w / 2 + 73, n.y + 14 + 31])(s.nodes.get('latent'))"))
        assert [part % 50 for part in canvas.ask("[s.nodes.get('latent').x, s.nodes.get('latent').y]")] == [0, 0]
        canvas.click(canvas.widget("positive", "text"))
        assert page.locator(".overlay textarea").evaluate("box => box.spellcheck")
        page.keyboard.press("Escape")
        scale, y = canvas.ask("[e.view.scale, e.view.y]")
        page.mouse.move(*canvas.at("[0, 0]"))
        page.mouse.wheel(0, 40)
        page.wait_for_function(f"easel.editor.view.y === {y} - 40")
        assert canvas.ask("e.view.scale") == scale
        page.reload()
        ready(page)
    expect(setting("minimap")).not_to_be_checked()  # the panel is open again
    before = set((data / "output").rglob("*.png"))
    run(page)
    (saved,) = set((data / "output").rglob("*.png")) - before
    with Image.open(saved) as picture:
        assert not picture.info
    page.get_by_role("button", name="All settings as they were").click()
    page.get_by_role("button", name="Set all").click()
    expect(setting("metadata")).to_be_checked()
    assert canvas.ask("s.shape") == "curve"


def test_the_log_id_of_a_failure_is_copied_and_leads_to_its_lines(page: Page) -> None:
    nodes = {name: {"class_type": kind, "inputs": {}} for name, kind in (("fine", "Complain"), ("fail", "Break"), ("also", "Break"))}
    drop(Canvas(page), "fails.json", easel(nodes).encode())
    expect(page.locator(NODES)).to_have_count(3)
    run(page, "failed")
    problems = page.locator("#problems li")
    expect(problems).to_have_count(2)
    first = page.locator("#problems li[data-node=fail]")
    first.get_by_role("button", name="Copy the log id").click()
    name = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch("[0-9a-f]{8}", name)
    expect(first).to_contain_text(name)
    first.get_by_role("button", name="Open the log there").click()
    lines = page.locator("ol.log li")
    expect(lines.filter(has_text=f"Log id {name}: Break failed: KeyError: 'lost'")).to_be_focused()
    expect(lines.filter(has_text="it cracks")).to_have_count(1)
    expect(lines.filter(has_text="Traceback")).to_have_count(1)
    expect(lines.filter(has_text="half")).to_have_count(0)
    page.get_by_label("Node", exact=True).select_option("")
    expect(lines.filter(has_text="it cracks")).to_have_count(2)
    expect(lines.filter(has_text="half")).to_have_count(1)
    page.get_by_label("Job", exact=True).select_option(label="The job on the canvas")
    page.get_by_label("Node", exact=True).select_option(label="Complain")
    expect(lines.filter(has_text="half")).to_have_count(1)
    expect(lines.filter(has_text="cracks")).to_have_count(0)
    page.evaluate("easel.events.emit('log', { id: '00000000' })")
    expect(lines.filter(has_text="00000000 is not among the last 2000 lines")).to_have_count(1)


def test_a_page_of_another_machine_copies_too_and_says_how_to_paste(browser: Browser, server: Server) -> None:
    """Over plain http browsers keep the clipboard from such pages."""
    server.rest()
    context = new_context(browser, viewport={"width": 1400, "height": 860}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.url.replace("127.0.0.1", ELSEWHERE))
    ready(page)
    assert page.evaluate("!window.isSecureContext && navigator.clipboard === undefined")
    canvas = Canvas(page)
    canvas.click(canvas.title("latent"), button="right")
    page.get_by_role("menuitem", name="Copy").click()
    page.focus("#canvas")
    page.keyboard.press("Control+v")
    expect(page.locator(NODES)).to_have_count(8)
    canvas.click((700, 800), button="right")
    page.get_by_role("menuitem", name="Paste").click()
    expect(page.get_by_text("Press Ctrl+V on the canvas.")).to_be_visible()
    page.evaluate(LEAVE)
    context.close()


def test_record_says_why(page: Page) -> None:
    run(page)
    run(page)
    panel(page, "record")
    rows = page.locator(".record tbody tr")
    expect(rows).to_have_count(7)
    expect(rows.filter(has_text="LoadCheckpoint")).to_contain_text("hit memory")
    expect(rows.filter(has_text="KSampler")).to_contain_text("input seed changed 2 ->")  # a new seed at each run
    rows.filter(has_text="KSampler").get_by_role("button").click()
    page.focus("#canvas")
    page.keyboard.press("Delete")
    expect(page.locator(NODES)).to_have_count(6)

"""Building and changing graphs with mouse and keys, on a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from engine.settings import ROOT
from tests.server.serving import make_data

from .conftest import Canvas, Server, new_context, ready
from .test_files import drop

pytestmark = pytest.mark.browser

SLOW = """
import pathlib
import time

while not (pathlib.Path(__file__).parents[1] / "go").exists():
    time.sleep(0.02)
"""

EXAMPLE = (ROOT / "workflows" / "text_to_image.json").read_text("utf-8")


def test_a_graph_is_built_from_nothing_with_mouse_and_keys_and_run(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(canvas.nodes).to_have_count(0)
    loader = canvas.add((180, 160), "load checkpoint")
    positive = canvas.add((480, 120), "clip text encode")
    negative = canvas.add((480, 400), "clip text encode")
    latent = canvas.add((180, 420), "empty latent")
    sampler = canvas.add((860, 130), "ksampler")
    canvas.drag(canvas.output(sampler), (1130, 150))  # dropped on the ground: the nodes that fit are offered
    page.keyboard.type("vae decode")
    page.keyboard.press("Enter")
    expect(canvas.nodes).to_have_count(6)
    decode = canvas.ask("[...e.selection][0]")
    save = canvas.add((1130, 500), "save image")
    for start, end in [
        (canvas.output(loader, 0), canvas.input(sampler, "model")),
        (canvas.output(loader, 1), canvas.input(positive, "clip")),
        (canvas.input(negative, "clip"), canvas.output(loader, 1)),  # backwards
        (canvas.output(positive), canvas.input(sampler, "positive")),
        (canvas.output(negative), canvas.input(sampler, "negative")),
        (canvas.output(latent), canvas.input(sampler, "latent_image")),
        (canvas.output(loader, 2), canvas.title(decode)),  # onto the node: the first input that fits
        (canvas.output(decode), canvas.input(save, "images")),
    ]:
        canvas.drag(start, end)
    canvas.fill(positive, "text", "a red circle on a white background")
    for node, name, typed, value in [
        (sampler, "steps", "1+1", 2),
        (sampler, "seed", "2^64-1", "18446744073709551615"),
        (latent, "width", "64*2", 128),
        (latent, "height", "128", 128),
    ]:
        canvas.fill(node, name, typed)
        assert canvas.value(node, name) == value
    canvas.watch()
    server.api("POST", "queue/pause")  # so that the page hears all of the job, however slow it is
    page.keyboard.press("Control+Enter")
    canvas.follows()
    server.api("POST", "queue/resume")
    canvas.finished()
    expect(page.locator("#problems li")).to_have_count(0)
    expect(page.locator(f"#outline li[data-id={save}]")).to_contain_text("1 picture")
    page.wait_for_function("id => easel.editor.run.pictures.get(id)[0].naturalWidth === 128", arg=save)
    assert {f"{sampler} running", f"{sampler} done", f"{sampler} at 1", f"{save} done"} <= canvas.seen()
    assert canvas.ask(f"e.run.pictures.has('{sampler}')"), "previews of the sampler were shown"

    pictures = sorted((server.data / "output").rglob("*.png"), key=lambda path: path.stat().st_mtime_ns)
    drop(canvas, "drawn.png", pictures[-1].read_bytes(), "image/png")
    expect(page.locator("#title")).to_have_text("drawn")
    expect(canvas.nodes).to_have_count(7)
    assert canvas.value(sampler, "seed") == "18446744073709551615", "the seed that was used"
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator(f"#outline li[data-id={sampler}]")).to_have_attribute("data-state", "cached")


def test_a_run_that_is_asked_for_before_the_worker_is_up_waits_for_it(browser: Browser, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    (data / "custom_nodes" / "slow.py").write_text(SLOW)
    server = Server(data)
    page = new_context(browser).new_page()
    try:
        for known in (False, True):  # whether the nodes are known before the worker is up: at the first start they are not
            if known:
                server.stop()
                server.start()
            page.goto(server.url)
            canvas = Canvas(page)
            expect(canvas.nodes).to_have_count(7)
            canvas.set("sampler", "steps", 1)
            page.focus("#canvas")
            page.keyboard.press("Control+Enter")
            expect(page.locator("#status")).to_have_text("The worker is starting; the job waits for it")
            (data / "go").touch()
            canvas.finished()
            expect(page.locator("#outline li[data-id=save]")).to_contain_text("1 picture")
            (data / "go").unlink()
    finally:
        page.context.close()
        server.stop()


def test_fifty_changes_undone_restore_the_file_byte_for_byte(canvas: Canvas) -> None:
    page = canvas.page
    for turn in range(10):
        canvas.drag(canvas.title("sampler"), (900 + 10 * turn, 500), "Shift")
        canvas.fill("sampler", "steps", str(5 + turn))
        canvas.click(canvas.title("decode"))
        page.keyboard.press("Control+m")
        page.keyboard.press("Control+d")
        page.keyboard.press("Delete")
    assert canvas.ask("e.history.past.length") == 50
    changed = canvas.text()
    assert changed != EXAMPLE
    for _ in range(50):
        page.keyboard.press("Control+z")
    assert canvas.text() == EXAMPLE
    for _ in range(50):
        page.keyboard.press("Control+y")
    assert canvas.text() == changed


def test_links_are_refused_with_the_reason_cut_moved_and_rerouted(canvas: Canvas) -> None:
    page = canvas.page
    before = canvas.text()
    canvas.drag(canvas.output("latent"), canvas.input("positive", "clip"))
    expect(page.locator("#news")).to_contain_text("LATENT does not fit clip (CLIP)")
    canvas.drag(canvas.output("sampler"), canvas.input("sampler", "latent_image"))
    assert canvas.text() == before
    canvas.drag(canvas.input("sampler", "negative"), (700, 760))  # the end of a link, dropped: unplugged
    assert canvas.value("sampler", "negative") is None
    canvas.drag(canvas.output("positive"), canvas.output("negative"), "Shift")  # all links of one output to another
    assert canvas.value("sampler", "positive") == ["negative", 0]
    above, below = (canvas.at(f"(n => [n.x + n.w + 40, n.y + {y}])(s.nodes.get('decode'))") for y in (-60, 200))
    canvas.drag(above, below, "Alt")  # a line that cuts
    assert canvas.value("save", "images") is None
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert canvas.text() == before
    middle = canvas.at("(l => [(l.from.x + l.from.w + l.to.x) / 2, l.to.y + l.socket.y])(s.links.find(l => l.to.id === 'save'))")
    canvas.drag(middle, (middle[0], middle[1] + 90), "Alt")
    assert len(json.loads(canvas.text())["layout"]["links"]["save"]["images"]) == 1
    page.keyboard.down("Alt")
    canvas.click((middle[0], middle[1] + 90))
    page.keyboard.up("Alt")
    assert "links" not in json.loads(canvas.text()).get("layout", {})


def test_a_middle_click_on_a_socket_adds_a_reroute_to_its_links(canvas: Canvas) -> None:
    page = canvas.page
    before = canvas.text()

    def bends() -> dict[str, dict[str, list[list[int]]]]:
        return json.loads(canvas.text()).get("layout", {}).get("links", {})

    canvas.click(canvas.output("checkpoint", 1), button="middle")
    assert bends()["positive"] == bends()["negative"] != {}
    start = canvas.at("s.links.find(l => l.to.id === 'positive').points[0]")
    canvas.drag(start, (start[0], start[1] + 60))  # links of one output that bend at one place go together
    assert bends()["positive"] == bends()["negative"]
    canvas.click(canvas.input("decode", "samples"), button="middle")
    assert len(bends()["decode"]["samples"]) == 1
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert canvas.text() == before
    canvas.drag(canvas.input("decode", "samples"), (700, 760))  # unplugged
    page.mouse.click(*canvas.input("decode", "samples"), button="middle")
    expect(page.locator("#news")).to_contain_text("this socket has none")


def test_nodes_are_chosen_grouped_aligned_cloned_copied_and_healed(canvas: Canvas) -> None:
    page = canvas.page
    canvas.drag((80, 100), (660, 800), "Control")
    expect(page.locator("#chosen")).to_have_text("4 nodes chosen")
    page.keyboard.press("Control+g")
    page.keyboard.press("Escape")
    x = canvas.ask("s.nodes.get('latent').x")
    canvas.drag(canvas.at("[s.groups[0].x + 100, s.groups[0].y + 12]"), canvas.at("[s.groups[0].x + 150, s.groups[0].y + 12]"))
    assert canvas.ask("s.nodes.get('latent').x") == pytest.approx(x + 50, abs=2)
    canvas.drag(canvas.title("save"), canvas.at("(n => [n.x + n.w / 2, n.y + 300])(s.nodes.get('save'))"), "Alt")
    expect(canvas.nodes).to_have_count(8)
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+v")
    expect(canvas.nodes).to_have_count(9)
    clip = page.evaluate("navigator.clipboard.readText()")
    assert json.loads(clip)["format"] == "easel/1"
    page.keyboard.press("Delete")
    canvas.click(canvas.title("decode"))
    page.keyboard.press("Shift+Delete")
    assert canvas.value("save", "images") is None, "a picture does not come from a latent"
    page.keyboard.press("Control+z")
    canvas.click(canvas.title("sampler"))
    page.keyboard.press("Shift+Delete")
    assert canvas.value("decode", "samples") == ["latent", 0]


def test_widgets_are_dragged_filtered_weighted_and_can_be_linked(canvas: Canvas) -> None:
    page = canvas.page
    x, y = canvas.widget("sampler", "steps")
    canvas.drag((x, y), (x + 60, y))
    assert canvas.value("sampler", "steps") == 30
    canvas.click(canvas.widget("sampler", "sampler_name"))
    page.keyboard.type("heun")
    expect(page.get_by_role("option").first).to_have_text("heun")
    page.keyboard.press("Enter")
    assert canvas.value("sampler", "sampler_name") == "heun"
    canvas.click(canvas.widget("positive", "text"))
    expect(page.locator(".overlay output")).to_contain_text("7")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    for _ in range(2):
        page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Tab")
    assert canvas.value("positive", "text") == "a (red:1.1) circle on a white background"
    node = canvas.add((300, 760), "primitiveint")
    canvas.drag(canvas.output(node), canvas.widget("sampler", "steps"))
    assert canvas.value("sampler", "steps") == [node, 0]


def test_seeds_change_as_their_policy_says_and_visibly(canvas: Canvas) -> None:
    page = canvas.page
    _, y = canvas.widget("sampler", "seed")
    right = canvas.at("(n => [n.x + n.w - 20, 0])(s.nodes.get('sampler'))")[0]
    page.mouse.click(right, y)
    page.get_by_role("menuitemradio", name="Count up at each run").click()
    canvas.fill("sampler", "seed", "18446744073709551614")
    canvas.set("sampler", "steps", 1)
    canvas.set("latent", "width", 64)
    canvas.set("latent", "height", 64)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("18446744073709551615")
    canvas.finished()
    page.keyboard.press("Control+z")
    assert canvas.value("sampler", "seed") == "18446744073709551614"


def test_the_page_is_used_by_touch(browser, server) -> None:
    context = new_context(browser, viewport={"width": 420, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(server.url)
    canvas = Canvas(page)
    ready(page)
    expect(canvas.nodes).to_have_count(7)
    assert canvas.ask("e.view.scale") > 0.7, "what is shown first can be read"
    page.evaluate("easel.does('fit')")
    canvas.drag(canvas.input("sampler", "negative"), canvas.at("(n => [n.x + n.w / 2, n.y + n.h + 60])(s.nodes.get('sampler'))"))
    page.touchscreen.tap(*canvas.output("positive"))
    page.touchscreen.tap(*canvas.input("sampler", "negative"))
    assert canvas.value("sampler", "negative") == ["positive", 0]
    session = context.new_cdp_session(page)
    before = canvas.ask("e.view.scale")
    for kind, gap in [("touchStart", 40), ("touchMove", 80), ("touchMove", 120), ("touchEnd", 0)]:
        points = [{"x": 210 - gap, "y": 400, "id": 0}, {"x": 210 + gap, "y": 400, "id": 1}] if gap else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("before => easel.editor.view.scale > 2 * before", arg=before)
    context.close()

"""What is opened, dropped, saved and recovered; and what hostile files cannot do."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
import uuid
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, expect

from .conftest import LEAVE, PATIENCE, ROOT, Canvas, Server, new_context, ready

pytestmark = pytest.mark.browser

GRAPH = {"add": {"class_type": "Add", "inputs": {"a": 40, "b": 2}}, "show": {"class_type": "Show", "inputs": {"values0": ["add", 0]}}}


def easel(nodes: dict[str, Any], **more: Any) -> str:
    return json.dumps({"format": "easel/1", "revision": 1, "nodes": nodes, **more})


def picture(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def drop(canvas: Canvas, name: str, data: bytes, kind: str = "") -> None:
    script = """([name, data, kind]) => {
        const given = new DataTransfer();
        given.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name, { type: kind }));
        return given;
    }"""
    given = canvas.page.evaluate_handle(script, [name, base64.b64encode(data).decode(), kind])
    canvas.page.dispatch_event("#canvas", "drop", {"dataTransfer": given, "clientX": 700, "clientY": 600})


def jobs(server: Server) -> int:
    return len(server.api("GET", "jobs")["jobs"])


@pytest.mark.parametrize("key", ["easel", "prompt"])
def test_a_dropped_picture_opens_the_graph_that_made_it_and_runs(canvas: Canvas, key: str) -> None:
    text = easel(GRAPH) if key == "easel" else json.dumps(GRAPH)
    drop(canvas, "drawn.png", picture(**{key: text}), "image/png")
    expect(canvas.nodes).to_have_count(2)
    expect(canvas.page.locator("#title")).to_have_text("drawn")
    canvas.page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(canvas.page.locator("#outline li[data-id=show]")).to_contain_text("shows 42")


def test_a_dropped_picture_without_a_graph_is_put_on_a_node(canvas: Canvas, server: Server) -> None:
    drop(canvas, "plain.png", picture(), "image/png")
    expect(canvas.nodes).to_have_count(8)
    expect(canvas.page.locator("#outline")).to_contain_text("plain.png")
    assert (server.data / "input" / "plain.png").is_file()


def test_a_dropped_picture_of_automatic1111_opens_as_the_graph_that_its_text_tells(canvas: Canvas) -> None:
    text = "a red circle\nNegative prompt: blurry\nSteps: 7, Sampler: Euler, CFG scale: 4, Seed: 5, Size: 128x128, Model: tiny-shapes"
    drop(canvas, "00005-5.png", picture(parameters=text), "image/png")
    expect(canvas.page.locator("#title")).to_have_text("00005-5")
    sampler = canvas.page.locator("#outline li[data-id=sampler]")
    expect(sampler).to_contain_text("steps 7")
    expect(sampler).to_contain_text("seed 5")


def test_an_empty_graph_says_how_to_begin_and_a_link_offers_what_most_graphs_have_next(canvas: Canvas) -> None:
    page = canvas.page
    expect(page.locator("#empty")).to_be_hidden()
    page.click("#file")
    page.get_by_role("menuitem", name="New workflow").click()
    expect(page.locator("#empty")).to_contain_text("Double click to add a node")
    page.mouse.dblclick(500, 300)
    page.keyboard.type("load checkpoint")
    page.keyboard.press("Enter")
    expect(canvas.nodes).to_have_count(1)
    expect(page.locator("#empty")).to_be_hidden()
    for slot, expected in enumerate(["KSampler", "CLIPEncode", "VAEDecode"]):
        canvas.drag(canvas.output("load_checkpoint", slot), (1150, 650))
        expect(page.locator("#found li").first).to_have_attribute("data-id", expected)
        page.keyboard.press("Escape")


def test_a_file_that_is_no_workflow_is_named(canvas: Canvas) -> None:
    drop(canvas, "notes.txt", b"buy paint")
    expect(canvas.page.locator("#problems")).to_contain_text("notes.txt is no picture and cannot be read as a workflow. Line 1")


def test_hostile_files_run_nothing_and_lose_nothing(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    before = jobs(server)
    evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    nodes = {
        evil: {"class_type": evil, "inputs": {evil: evil, "__proto__": 1}, "_meta": {"title": evil}},
        "__proto__": {"class_type": "Add", "inputs": {"a": 1}},
        "constructor": {"class_type": "Words", "inputs": {"text": ["constructor", 0]}},
    }
    places = {evil: {"pos": ["NaN", None], "size": [1e308, -5], "color": "url(//x)"}}
    layout = {"nodes": places, "groups": [{"title": evil, "pos": 7}, 5], "links": {evil: 3}}
    drop(canvas, f"{evil}.json", easel(nodes, layout=layout, __proto__={"polluted": True}).encode())
    expect(canvas.nodes).to_have_count(3)
    page.hover("#canvas", position={"x": 700, "y": 400})
    page.keyboard.press("Control+Enter")  # the server says what is wrong with it
    expect(page.locator("#problems li").first).to_be_visible()
    numbers = '{"a": {"class_type": "Add", "inputs": {"a": NaN, "b": 123456789012345678901234567890}}}'
    text = f'{{"format": "easel/1", "nodes": {numbers}, "layout": {{"nodes": {{"a": {{"pos": [NaN, Infinity]}}}}}}}}'
    drop(canvas, "numbers.json", text.encode())
    expect(canvas.nodes).to_have_count(1)
    assert canvas.text() == text
    for name, body, said in [
        ("twice.json", '{"nodes": {"a": {}, "a": {}}}', "stands twice"),
        ("broken.json", '{"format": ', "Line 1"),
        ("deep.json", "[" * 100_000, "nests deeper"),
        ("list.json", "[1, 2]", "not a workflow"),
        ("newer.json", easel({}).replace("easel/1", "easel/9"), "easel/9"),
        ("large.json", easel({"a": {"class_type": "Words", "inputs": {"text": "x" * 10_000_000}}}), ""),
    ]:
        drop(canvas, name, body.encode())
        if said:
            expect(page.locator("#problems, #news").get_by_text(said, exact=False).first).to_be_visible()
        else:
            expect(page.locator("#title")).to_have_text("large")
    assert page.evaluate("[window.hacked, {}.polluted]") == [None, None]
    assert page.locator("#stage script, #stage img").count() == 0
    assert jobs(server) == before


def test_what_is_not_installed_is_kept_marked_and_can_be_exchanged(canvas: Canvas) -> None:
    page = canvas.page
    nodes = {
        "gone": {"class_type": "Nonesuch", "inputs": {"a": 40, "b": 2, "odd": [1, 2, 3]}, "_meta": {"mine": True}},
        "model": {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": "gone.safetensors"}},
        "show": {"class_type": "Show", "inputs": {"values0": ["gone", 0]}},
    }
    text = easel(nodes, requires={"nodes": {"Nonesuch": "9.9.9"}})
    drop(canvas, "missing.json", text.encode())
    expect(page.locator("#outline li[data-id=gone]")).to_contain_text("missing")
    assert canvas.text() == text
    page.keyboard.press("Control+Enter")
    expect(page.locator("#problems li", has_text="Nonesuch")).to_be_visible()
    canvas.click(canvas.title("gone"))
    page.keyboard.press("Shift+F10")
    page.get_by_role("menuitem", name="Take another node instead").click()
    page.keyboard.type("add two numbers")
    page.locator("#found li[data-id=Add]").click()
    page.evaluate("easel.setInput('gone', 'odd', undefined)")
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows 42")
    canvas.click(canvas.widget("model", "ckpt_name"))
    expect(page.get_by_role("option", name="gone.safetensors (not here)")).to_be_visible()
    page.get_by_role("option", name="tiny-shapes.safetensors").click()
    assert canvas.value("model", "ckpt_name") == "tiny-shapes.safetensors"


def test_bad_files_dropped_in_mid_run_change_nothing(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    wait = {"class_type": "Wait", "inputs": {"seconds": 300.0}}
    drop(canvas, "wait.json", easel({"wait": wait, "show": {"class_type": "Show", "inputs": {"values0": ["wait", 0]}}}).encode())
    expect(canvas.nodes).to_have_count(2)
    canvas.fill("wait", "seconds", "400")
    before = canvas.text()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_attribute("data-state", "running")
    for name, body, said in [
        ("half.json", b'{"format": "easel/1", "nodes": {"a": ', "Line 1"),
        ("twice.json", b'{"format": "easel/1", "nodes": {"a": {}, "a": {}}}', "stands twice"),
        ("noise.json", bytes(range(256)) * 40, "Line 1"),
        ("odd.json", b'{"nodes": [{"id": 1}], "links": []}', "has no type"),
    ]:
        drop(canvas, name, body)
        expect(page.locator("#problems li, #news li").filter(has_text=re.compile(said)).first).to_be_visible()
    expect(page.locator("#outline li[data-id=wait]")).to_have_attribute("data-state", "running")
    assert canvas.text() == before
    page.keyboard.press("Control+Alt+Enter")
    canvas.finished("cancelled")
    page.keyboard.press("Control+z")
    assert '"seconds": 300.0' in canvas.text()


def test_a_workflow_of_comfyuis_editor_is_imported(canvas: Canvas) -> None:
    latent = {
        "id": 1,
        "type": "EmptyLatentImage",
        "pos": [10, 20],
        "size": [200, 100],
        "widgets_values": [64, 96, 1],
        "inputs": [],
        "outputs": [],
    }
    note = {"id": 2, "type": "Note", "pos": [10, 300], "size": [200, 80], "widgets_values": ["remember the milk"]}
    drop(canvas, "ui.json", json.dumps({"last_node_id": 2, "nodes": [latent, note], "links": [], "version": 0.4}).encode())
    expect(canvas.nodes).to_have_count(1)
    expect(canvas.page.locator("#outline li")).to_contain_text("height 96")
    assert canvas.ask("s.groups.map(g => g.title)") == ["remember the milk"]


def test_problems_stand_on_their_nodes_all_at_once_and_go_when_mended(canvas: Canvas) -> None:
    page = canvas.page
    page.evaluate("easel.setInput('sampler', 'steps', 0)")
    page.evaluate("easel.setInput('checkpoint', 'ckpt_name', 'gone.safetensors')")
    canvas.drag(canvas.input("decode", "vae"), (1250, 700))
    page.keyboard.press("Control+Enter")
    for node in ("sampler", "checkpoint", "decode"):
        expect(page.locator(f"#outline li[data-id={node}]")).to_contain_text("Problem: ")
    expect(page.locator("#problems li")).to_have_count(3)
    page.locator("#problems li", has_text="Sample").get_by_role("button", name="Show").click()
    expect(page.locator("#chosen")).to_have_text("1 node chosen")
    canvas.fill("sampler", "steps", "3")
    expect(page.locator("#problems li")).to_have_count(2)


OLD = easel(
    {
        "old": {"class_type": "Times", "inputs": {"number": 21, "sign": "-"}, "_meta": {"title": "<b>Twice"}},
        "show": {"class_type": "Show", "inputs": {"values0": ["old", 0]}},
    },
    requires={"nodes": {"Show": "1.0.0", "Times": "1.0.0"}},
)


def test_what_newer_nodes_change_is_shown_and_taken_over_or_kept(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    path = server.data / "workflows" / "old.json"
    path.write_text(OLD)
    page.keyboard.press("w")
    page.locator(".panel-workflows button[data-name='old.json']").click()
    table = page.locator("dialog.upgrades table")
    expect(table.locator("tr")).to_have_text(
        [
            "NodeInputWasBecomes",
            "<b>Twicenumber → value2121",
            "<b>Twicesign-minus",
            "<b>Twicetimes(new)2",
        ]
    )
    page.get_by_role("button", name="Keep as it was").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert canvas.value("old", "number") == 21
    page.focus("#canvas")
    page.keyboard.press("Control+Enter")
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows -42")
    page.keyboard.press("F1")
    page.keyboard.type("what newer versions")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take over").click()
    expect(page.locator("#outline li[data-id=old]")).to_contain_text("times 2")
    expect(page.locator("#title")).to_have_class("dirty")
    assert path.read_text() == OLD
    page.focus("#canvas")
    page.keyboard.press("Control+z")
    expect(page.locator("#outline li[data-id=old]")).to_contain_text("number 21")
    page.keyboard.press("Control+y")
    expect(page.locator("#outline li[data-id=old]")).to_contain_text("value 21")
    page.keyboard.press("Control+s")
    expect(page.locator("#news")).to_contain_text("Saved as old.json")
    saved = json.loads(path.read_text())
    assert saved["nodes"]["old"]["inputs"] == {"value": 21, "sign": "minus", "times": 2}
    assert saved["requires"] == {"nodes": {"Show": "1.0.0", "Times": "2.0.0"}}
    path.unlink()


def test_a_missing_model_is_found_under_another_name_by_its_content(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    model = ROOT / "engine" / "models" / "checkpoints" / "tiny-shapes.safetensors"
    digest = f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    document = json.loads(canvas.text())
    document["nodes"]["checkpoint"]["inputs"]["ckpt_name"] = "lost.safetensors"
    document["requires"] = {"models": {"checkpoints/lost.safetensors": digest}}
    drop(canvas, "lost.json", json.dumps(document).encode())
    expect(page.locator("#news")).to_contain_text("lost.safetensors is not here")
    page.get_by_role("button", name="Look for it").click()
    expect(page.locator("dialog.missing-models h2")).to_have_text("Models that are not here")
    line = page.locator("dialog.missing-models li")
    expect(line).to_contain_text(re.compile("is here as|are not yet|is not yet"))
    if line.get_by_role("button", name="Read them").is_visible():
        line.get_by_role("button", name="Read them").click()
    expect(line).to_contain_text("is here as tiny-shapes.safetensors")
    line.get_by_role("button", name="Take it").click()
    expect(line).to_have_text("lost.safetensors → tiny-shapes.safetensors")
    page.get_by_role("button", name="Close", exact=True).click()
    assert canvas.value("checkpoint", "ckpt_name") == "tiny-shapes.safetensors"
    page.focus("#canvas")
    page.keyboard.press("Control+s")
    page.get_by_label("Name").fill("found")
    page.keyboard.press("Enter")
    expect(page.locator("#news")).to_contain_text("Saved as found.json")
    path = server.data / "workflows" / "found.json"
    assert json.loads(path.read_text())["requires"]["models"] == {"checkpoints/tiny-shapes.safetensors": digest}
    path.unlink()
    page.keyboard.press("Control+z")
    assert canvas.value("checkpoint", "ckpt_name") == "lost.safetensors"


def test_unsaved_work_survives_a_reload_and_a_closed_page(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    canvas.fill("sampler", "steps", "7")
    page.reload()
    ready(page)
    expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("steps 7")
    expect(page.locator("#title")).to_have_class("dirty")
    page.evaluate("easel.drafts.keep()")  # what else happens a second after a change
    context = page.context
    page.close(run_before_unload=False)
    other = context.new_page()
    other.goto(server.url)
    other.get_by_role("button", name="Recover").click()
    expect(other.locator("#outline li[data-id=sampler]")).to_contain_text("steps 7")
    other.close()


def test_unsaved_work_is_found_from_another_browser_after_a_crash(canvas: Canvas, server: Server, browser: Browser) -> None:
    page = canvas.page
    canvas.fill("sampler", "seed", "18446744073709551615")
    expect_drafts(server, 1)
    page.close(run_before_unload=False)
    elsewhere = new_context(browser)
    other = elsewhere.new_page()
    other.goto(server.url)
    expect(other.locator("#news")).to_contain_text("Text to image of")
    other.locator("#news").get_by_role("button", name="Dismiss").click()
    other.keyboard.press("F1")
    other.keyboard.type("unsaved work")
    other.keyboard.press("Enter")
    line = other.locator("dialog.unsaved li")
    expect(line).to_contain_text("another browser")
    line.get_by_role("button").first.click()
    expect(other.locator("#outline li[data-id=sampler]")).to_contain_text("seed 18446744073709551615")
    expect(other.locator("#title")).to_have_class("dirty")
    assert other.evaluate("easel.drafts.id") == expect_drafts(server, 1)[0]["id"]
    other.keyboard.press("Control+s")
    other.get_by_label("Name").fill("mine/found")
    other.keyboard.press("Enter")
    expect(other.locator("#news")).to_contain_text("Saved as mine/found.json")
    expect_drafts(server, 0)
    other.evaluate(LEAVE)
    elsewhere.close()


def test_the_list_of_unsaved_work_shows_both_places_and_forgets(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    canvas.fill("sampler", "steps", "5")
    expect_drafts(server, 1)
    page.evaluate("easel.openWorkflow('image_to_image.json')")
    name = "<img src=x onerror=alert(1)>"
    body = json.dumps({"format": "easel/1", "nodes": {}})
    keep = "([id, body, title]) => easel.api.keepDraft(id, body, { title, name: '', writable: false, opened: 0 })"
    page.evaluate(keep, [str(uuid.uuid4()), body, name])
    page.keyboard.press("F1")
    page.keyboard.type("unsaved work")
    page.keyboard.press("Enter")
    lines = page.locator("dialog.unsaved li")
    expect(lines).to_have_count(2)
    expect(lines.filter(has_text="this browser")).to_contain_text("Text to image")
    page.get_by_role("button", name=f"Discard {name}").click()
    expect(lines).to_have_count(1)
    lines.get_by_role("button", name="Discard").click()
    expect(page.locator("dialog.unsaved")).to_contain_text("Nothing but what is open here.")
    assert expect_drafts(server, 0) == []
    assert page.evaluate("easel.drafts.others().then((found) => found.length)") == 0


def test_a_draft_that_the_server_cannot_hear_reaches_it_when_it_is_back(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    page.context.set_offline(True)
    canvas.fill("sampler", "steps", "5")
    page.wait_for_function("() => easel.drafts.unsent.size === 1 && easel.drafts.sending === null")
    assert server.api("GET", "drafts")["drafts"] == []
    page.context.set_offline(False)
    assert expect_drafts(server, 1)[0]["title"] == "Text to image"


def expect_drafts(server: Server, count: int) -> list[Any]:
    """Wait until the server has so many."""
    deadline = time.monotonic() + PATIENCE / 1000
    while len(found := server.api("GET", "drafts")["drafts"]) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_a_workflow_is_saved_opened_and_never_overwrites_what_another_saved(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    canvas.fill("sampler", "seed", "18446744073709551615")
    page.keyboard.press("Control+s")
    page.get_by_label("Name").fill("mine/first")
    page.keyboard.press("Enter")
    expect(page.locator("#news")).to_contain_text("Saved as mine/first.json")
    path = server.data / "workflows" / "mine" / "first.json"
    saved = path.read_text("utf-8")
    assert '"seed": 18446744073709551615' in saved
    assert json.loads(saved)["revision"] == 2
    path.write_text(saved.replace('"revision": 2', '"revision": 5'), "utf-8")
    canvas.fill("sampler", "steps", "9")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("was changed by someone else")).to_be_visible()
    page.get_by_role("button", name="Cancel").last.click()
    assert '"revision": 5' in path.read_text("utf-8")
    page.keyboard.press("w")
    page.locator(".panel-workflows").get_by_role("button", name="First", exact=False).first.click()
    expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("seed 18446744073709551615")
    expect(page.locator("#outline li[data-id=sampler]")).to_contain_text("steps 20")


def test_a_server_that_goes_away_in_mid_run_and_comes_back_loses_nothing(canvas: Canvas, server: Server) -> None:
    page = canvas.page
    wait = {"class_type": "Wait", "inputs": {"seconds": 20.0}}
    drop(canvas, "wait.json", easel({"wait": wait, "show": {"class_type": "Show", "inputs": {"values0": ["wait", 0]}}}).encode())
    expect(canvas.nodes).to_have_count(2)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_contain_text("/2000")
    server.stop()
    try:
        expect(page.locator("#status")).to_contain_text("does not answer")
        canvas.fill("wait", "seconds", "1")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#problems")).to_contain_text("does not answer")
    finally:
        server.start()
    canvas.finished()
    expect(page.locator("#outline li[data-id=show]")).to_contain_text("shows 0")
    assert canvas.value("wait", "seconds") == "1.0"

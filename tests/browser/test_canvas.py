"""What the canvas shows: the same however it got there, of any subgraph that is open, and little to load."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import Canvas
from .test_files import GRAPH, drop, easel

pytestmark = pytest.mark.browser

MOST_BYTES = 400_000

DIFFERENCE = """
    const { view, renderer, canvas } = easel.editor;
    const pixels = () => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const anew = () => {
        renderer.draw();
        renderer.paint();
    };
    /** The share of values that differ, where edges of letters and curves may be rounded otherwise, and where nothing excuses it. */
    const difference = () => {
        renderer.paint();
        const [before, after] = [pixels(), (anew(), pixels())];
        const far = (most) => before.reduce((sum, value, at) => sum + (Math.abs(value - after[at]) > most), 0) / before.length;
        return [far(3), far(60)];
    };
"""

SHIFTED = f"""() => {{
    {DIFFERENCE}
    const found = [];
    for (const [x, y, scale] of [[-9, -4, 1], [13, 0, 1], [0, 21, 1], [-140, 95, 0.6], [7.4, -3.3, 0.6], [5, 5, 0.2]]) {{
        view.scale = scale;
        anew();
        for (let step = 0; step < 5; step += 1) {{
            view.x += x;
            view.y += y;
            renderer.paint();
        }}
        found.push(difference());
    }}
    return found;
}}"""


def same(difference: list[float]) -> bool:
    rounded, other = difference
    return rounded < 0.001 and other < 0.00001


def test_a_moved_view_is_the_same_picture_as_one_drawn_anew(canvas: Canvas) -> None:
    page = canvas.page
    page.evaluate("easel.setInput('sampler', 'steps', 0)")
    page.keyboard.press("Control+Enter")  # problems and outlines are drawn beside their nodes
    expect(page.locator("#problems li").first).to_be_visible()
    page.evaluate("easel.editor.select(['latent'])")
    found = page.evaluate(SHIFTED)
    assert all(map(same, found)), found


def test_a_node_that_is_drawn_alone_is_the_same_as_with_all_others(canvas: Canvas) -> None:
    """The one under the pointer shows the sockets of its values."""
    for node in ("sampler", "positive"):
        canvas.page.mouse.move(*canvas.title(node))
        canvas.page.wait_for_function(f"easel.editor.under?.id === '{node}'")
    assert same(canvas.page.evaluate(f"() => {{ {DIFFERENCE} return difference(); }}"))
    for edit in ("easel.setInput('sampler', 'steps', 3)", "easel.does('duplicate')", "easel.does('delete')", "easel.does('undo')"):
        canvas.page.evaluate(f"{edit}; easel.editor.renderer.paint()")
        assert same(canvas.page.evaluate(f"() => {{ {DIFFERENCE} return difference(); }}")), edit


def test_what_a_run_changes_is_drawn_and_what_the_one_before_left_is_gone(canvas: Canvas) -> None:
    page = canvas.page
    drop(canvas, "sum.json", easel(GRAPH).encode())
    expect(canvas.nodes).to_have_count(2)
    for value, shown in ((1, "shows 3"), (7, "shows 9"), (7, "cached")):
        canvas.set("add", "a", value)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#outline li[data-id=show]")).to_contain_text(shown)
        canvas.finished()
        assert same(page.evaluate(f"() => {{ {DIFFERENCE} return difference(); }}")), shown


def test_little_is_loaded_before_the_page_can_be_used(canvas: Canvas) -> None:
    sizes = canvas.page.evaluate("performance.getEntriesByType('resource').map((entry) => [entry.name, entry.decodedBodySize])")
    assert len(sizes) > 30
    whole = sum(size for _, size in sizes) + canvas.page.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize")
    assert whole < MOST_BYTES, sorted(sizes, key=lambda item: -item[1])[:12]


def test_links_take_the_shape_that_was_chosen_and_are_cut_there(canvas: Canvas) -> None:
    page = canvas.page
    for words, shape in (("right angles", "square"), ("only of chosen", "hidden"), ("straight lines", "straight")):
        page.keyboard.press("Control+k")
        page.keyboard.type(words)
        page.keyboard.press("Enter")
        page.wait_for_function(f"easel.editor.scene.links.every((link) => link.shape === '{shape}')")
    (ax, ay), (bx, by) = canvas.output("sampler"), canvas.input("decode", "samples")
    middle = ((ax + bx) / 2, (ay + by) / 2)
    there = "s.links.some((link) => link.to.id === 'decode' && link.socket.name === 'samples')"
    assert canvas.ask(there)
    canvas.drag((middle[0], middle[1] - 30), (middle[0], middle[1] + 30), "Alt")
    assert not canvas.ask(there)
    page.reload()
    page.wait_for_function("window.easel?.editor.scene.links.length && easel.editor.scene.links[0].shape === 'straight'")


def test_an_open_subgraph_shows_its_run_and_its_problems(canvas: Canvas, page: Page) -> None:
    inner = {"wait": {"class_type": "Wait", "inputs": {"seconds": {"__input__": "seconds"}}}, "words": {"class_type": "Words"}}
    pause = {"inputs": {"seconds": {"type": "FLOAT", "default": 600.0}}, "outputs": {"number": ["wait", 0]}, "nodes": inner}
    nodes = {"pause": {"class_type": "subgraph:pause"}, "show": {"class_type": "Show", "inputs": {"values0": ["pause", 0]}}}
    drop(canvas, "pause.json", easel(nodes, subgraphs={"pause": pause}).encode())
    expect(canvas.nodes).to_have_count(2)
    page.mouse.dblclick(*canvas.at("(n => [n.x + n.w - 30, n.y + n.h - 4])(s.nodes.get('pause'))"))
    expect(page.locator("#crumbs")).to_contain_text("pause")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#outline li[data-id=wait]")).to_have_attribute("data-state", "running")
    page.evaluate("easel.does('cancel')")
    canvas.finished("cancelled")
    page.keyboard.press("Escape")
    page.evaluate("easel.setInput('pause', 'seconds', 0.1)")
    canvas.click(canvas.title("pause"))
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#outline li[data-id=wait]")).to_have_attribute("data-state", "done")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#outline li[data-id=pause]")).to_have_attribute("data-state", "done")
    page.evaluate("easel.setInput('pause', 'seconds', 'long')")
    page.keyboard.press("Control+Enter")
    page.locator("#problems li").first.get_by_role("button", name="Show").click()
    expect(page.locator("#crumbs")).to_contain_text("pause")
    expect(page.locator("#outline li[data-id=wait]")).to_contain_text("Problem: ")


def test_what_a_node_is_for_is_read_when_a_person_asks(canvas: Canvas) -> None:
    page = canvas.page
    assert canvas.ask("e.catalogue.helps === undefined")
    page.mouse.move(*canvas.title("sampler"))
    expect(page.get_by_role("tooltip")).to_contain_text("denoise it along")
    canvas.click(canvas.title("sampler"))
    page.keyboard.press("i")
    about = page.get_by_role("dialog")
    expect(about).to_contain_text("KSampler")
    expect(about.locator("dt:text-is('steps') + dd")).to_have_text("INT")
    page.keyboard.press("Escape")
    expect(about).to_be_hidden()

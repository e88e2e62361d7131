"""How fast the editor is in headless Chromium: `python -m bench.editor`.

Prints the time to the first paint, what the page transfers, and for graphs of 1,000 and 5,000 nodes the time to load, to add a node,
and of each of 200 frames while panning, beside the goals. Software rendering; figures depend on the machine and on what else it does.
`drawing anew` is what a frame of panning would cost if nothing were kept of the one before.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info"]
FRAMES = 200
COLUMNS = 40

PAN = """async ([frames, scale]) => {
    const SETTLE = 10; // frames: after a load the list for screen readers is made, which is not panning
    const { view, renderer } = easel.editor;
    Object.assign(view, { scale, x: 0, y: 0 });
    const between = [], painting = [];
    let last = 0;
    for (let frame = -SETTLE; frame <= frames; frame += 1) {
        const now = await new Promise(requestAnimationFrame);
        if (frame < 0) continue;
        if (frame) between.push(now - last);
        last = now;
        view.x -= 9;
        view.y -= 4;
        const from = performance.now();
        renderer.paint();
        painting.push(performance.now() - from);
    }
    return { between, painting };
}"""

ANEW = """async () => {
    const { renderer } = easel.editor;
    const times = [];
    for (let turn = 0; turn < 20; turn += 1) {
        const from = performance.now();
        renderer.draw();
        renderer.paint();
        renderer.layer.shown.context.getImageData(0, 0, 1, 1);
        times.push(performance.now() - from);
        for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    }
    return times;
}"""

LOAD = """async (text) => {
    const from = performance.now();
    await easel.openText(text, { name: "", title: "bench", writable: false });
    easel.editor.renderer.paint();
    return performance.now() - from;
}"""

ADD = """async () => {
    const { editor } = easel;
    Object.assign(editor.view, { scale: 0.5, x: 0, y: 0 });
    editor.renderer.paint(); // another view is drawn anew, which is not adding
    const canvas = CanvasRenderingContext2D.prototype, write = canvas.fillText;
    const times = [], texts = [], kilobytes = [];
    let written = 0;
    canvas.fillText = function (...given) {
        written += 1;
        return write.apply(this, given);
    };
    for (let turn = 0; turn < 60; turn += 1) {
        for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
        written = 0;
        const [from, used] = [performance.now(), performance.memory.usedJSHeapSize];
        easel.addNode("VAEDecode", {}, [turn * 20, turn * 20]);
        editor.renderer.paint();
        times.push(performance.now() - from);
        kilobytes.push((performance.memory.usedJSHeapSize - used) / 1000);
        texts.push(written);
    }
    canvas.fillText = write;
    return { times, texts, kilobytes };
}"""


def graph(nodes: int) -> str:
    """A grid of samplers, each linked to two others."""
    entries: dict[str, Any] = {}
    places: dict[str, Any] = {}
    for number in range(nodes):
        links = {name: [f"n{number - step}", 0] for name, step in (("latent_image", 1), ("positive", COLUMNS)) if number >= step}
        entries[f"n{number}"] = {"class_type": "KSampler", "inputs": {"seed": number, "steps": 20, **links}}
        places[f"n{number}"] = {"pos": [number % COLUMNS * 320, number // COLUMNS * 340]}
    return json.dumps({"format": "easel/1", "revision": 1, "nodes": entries, "layout": {"nodes": places}})


def shown(title: str, times: list[float], goal: str = "") -> None:
    ordered = sorted(times)
    high = ordered[int(len(times) * 0.95)]
    print(f"  {title:<24} median {statistics.median(times):7.1f} ms   95% {high:7.1f} ms   worst {ordered[-1]:7.1f} ms{goal}")


def measure(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("body[data-ready]").wait_for(state="attached", timeout=300_000)
    paint = page.evaluate("performance.getEntriesByType('paint').map((entry) => entry.startTime)")
    sizes = page.evaluate("performance.getEntriesByType('resource').map((entry) => [entry.name, entry.decodedBodySize])")
    own = sum(size for name, size in sizes if "/api/" not in name)
    whole = sum(size for _, size in sizes)
    print(f"first paint {paint[0]:.0f} ms (goal: under 1000)")
    print(f"{own / 1000:.0f} kB of page in {len(sizes)} files, {whole / 1000:.0f} kB with its data (goal: under 400, uncompressed)")
    for nodes, rate, goals in ((1_000, 50, (" (goal: under 500)", " (goal: under 16)")), (5_000, 20, ("", ""))):
        print(f"{nodes:,} nodes, {2 * nodes:,} links")
        print(f"  load {page.evaluate(LOAD, graph(nodes)):.0f} ms{goals[0]}")
        for words, scale in (("", 0.5), (", far away", 0.1)):
            frames = page.evaluate(PAN, [FRAMES, scale])
            reached = 1000 * FRAMES / sum(frames["between"])
            print(f"  panning{words}: {reached:.1f} frames per second over {FRAMES} frames (goal: {rate} or more)")
            shown("between frames", frames["between"])
            shown("drawing", frames["painting"])
            shown("drawing anew", page.evaluate(ANEW))
        added = page.evaluate(ADD)
        shown("adding a node", added["times"], goals[1])
        texts, kilobytes = (statistics.median(added[name]) for name in ("texts", "kilobytes"))
        print(f"  each of them wrote {texts:.0f} texts and left {kilobytes:.0f} kB to be cleared away")


@contextmanager
def served(data: str) -> Iterator[str]:
    """A server of its own on a data folder; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "server.py", "--data", data, "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{url}/livez")
            yield url
        finally:
            server.terminate()


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")


def main() -> None:
    with tempfile.TemporaryDirectory() as data, served(data) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        measure(browser.new_page(viewport={"width": 1400, "height": 860}), url)
        browser.close()


if __name__ == "__main__":
    main()

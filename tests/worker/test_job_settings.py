"""What the settings say about previews, pictures and metadata holds in a run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.graph.events import Event, Preview
from engine.graph.graph import Graph, Node
from engine.settings import load
from engine.worker.runtime import build

PACK = '''
from PIL import Image

from engine.graph import Context, Shown, node


@node("Draw", category="test", output_node=True)
def draw(ctx: Context) -> Shown:
    """Show two previews."""
    ctx.progress(1, 2, preview=lambda: Image.new("RGB", (300, 100)))
    ctx.progress(2, 2, preview=lambda: Image.new("RGB", (30, 10)))
    return Shown({"text": [str(sorted(ctx.job.texts())), str(ctx.job.max_pixels)]})
'''


async def run(tmp_path: Path, **flags: Any) -> tuple[list[tuple[int, int]], list[str]]:
    """The sizes of the previews, and the texts, of one run with these settings."""
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "pack.py").write_text(PACK)
    (tmp_path / "easel.toml").write_text("packages = []\n")
    runtime = build(load(data=tmp_path, **flags))
    events: list[Event] = []
    try:
        job = runtime.job("a", "", {}, {"easel": {}})
        outcome = await runtime.executor.run(Graph({"draw": Node("draw", "Draw", {})}), ("draw",), job=job, emit=events.append)
    finally:
        runtime.close()
    sizes = [Image.open(io.BytesIO(event.data)).size for event in events if isinstance(event, Preview)]
    return sizes, outcome.ui["draw"]["text"]


async def test_a_preview_is_no_larger_than_the_setting(tmp_path: Path) -> None:
    sizes, _ = await run(tmp_path, preview_size=60)
    assert sizes == [(60, 20), (30, 10)]


async def test_previews_can_be_turned_off(tmp_path: Path) -> None:
    assert (await run(tmp_path, previews=False))[0] == []


async def test_a_job_may_leave_out_its_metadata_and_takes_no_result_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "pack.py").write_text(PACK)
    (tmp_path / "easel.toml").write_text("packages = []\n")
    runtime = build(load(data=tmp_path))
    told = []
    try:
        for extra in ({}, {"metadata": False}, {"metadata": False}, {"metadata": {"of": "another client"}}):
            job = runtime.job("a", "", {}, {"easel": {}, **extra})
            outcome = await runtime.executor.run(Graph({"draw": Node("draw", "Draw", {})}), ("draw",), job=job)
            told.append((outcome.ui["draw"]["text"][0], outcome.records["draw"].reason))
    finally:
        runtime.close()
    whole = "['easel', 'prompt']"
    reasons = ("first run", "file changed (embedded metadata)", "hit memory", "hit memory")
    assert told == list(zip((whole, "[]", "[]", whole), reasons, strict=True))


@pytest.mark.parametrize(("metadata", "texts"), [(True, "['easel', 'prompt']"), (False, "[]")])
async def test_metadata_can_be_left_out_and_the_limit_on_pictures_reaches_the_nodes(tmp_path: Path, metadata: bool, texts: str) -> None:
    assert (await run(tmp_path, metadata=metadata, max_pixels=123))[1] == [texts, "123"]

"""Workflows whose values grow without end: each is a named limit, before the memory is taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PIL import Image

from engine.errors import QuotaExceeded
from engine.graph import Context, Link, Node, Registry, stored_form
from engine.graph.calls import calls_of
from engine.graph.executor import Executor
from engine.graph.items import Item
from engine.graph.plan import Planner
from engine.server.v1.events import SSE_BACKLOG, SSE_LOST, _Tap
from engine.values.pictures import read_picture
from nodes import control, text


def test_texts_that_double():
    made = "x"
    with pytest.raises(QuotaExceeded):
        for _ in range(60):
            made = text.concatenate(made, made)
    assert len(made) <= text.LONGEST


def test_a_text_in_place_of_every_character():
    long = "x" * 1_000_000
    with pytest.raises(QuotaExceeded):
        text.replace(long, "x", long)
    with pytest.raises(QuotaExceeded):
        text.replace(long, "", long)
    with pytest.raises(QuotaExceeded):
        text.regex_replace(long, "x", long)
    assert text.replace("aa", "a", "") == "" and text.regex_replace("a1b2", r"([a-z])(\d)|(y)", r"\2\1\3") == "1a2b"


def test_matches_that_overlap():
    with pytest.raises(QuotaExceeded):
        text.regex_extract("x" * 1_000_000, r"(?=(x+))", "All Groups")


def test_lists_that_no_memory_holds():
    with pytest.raises(QuotaExceeded):
        control.number_range(0, 10**30)
    made = tuple(range(10))
    with pytest.raises(QuotaExceeded):
        for _ in range(60):
            made = control.make_list((made, made))
    assert len(made) <= 1_000_000 and control.number_range(5, 0) == () and control.number_range(0, 3, 2) == (0, 2)


def test_frames_are_counted_before_they_are_decoded(tmp_path):
    """The first page is small, the others are not, and would be left out for their size only afterwards."""
    pages = [Image.new("L", (1, 1)), *(Image.new("L", (1_000, 1_000)) for _ in range(3))]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    with pytest.raises(QuotaExceeded):
        read_picture(tmp_path / "pages.tiff", max_pixels=500_000)


def test_a_stored_value_that_nests_too_deep_is_damaged():
    item = b'{"slots": [[{"key": "00", "plain": ' + b'["l",' * 900 + b"1" + b"]" * 900 + b"}]]"
    with pytest.raises(stored_form.Damaged):
        stored_form.decode(item + b', "ui": null, "files": [], "seconds": 0}', {}, lambda digest: None)
    with pytest.raises(stored_form.Damaged):
        stored_form.decode_shown(b"[" * 100_000)


def test_a_stream_that_is_not_read_ends():
    tap = _Tap("job")
    job = SimpleNamespace(id="job")
    for number in range(SSE_BACKLOG + 100):
        tap.on_events(job, None, [{"type": "preview", "sequence": number, "part": 0}], [b"x"])
    assert tap.queue.qsize() == SSE_BACKLOG + 1
    for _ in range(200):
        tap.on_events(job, None, [{"type": "node_finished", "sequence": 1}] * 1_000, [])
    tap.on_over(job)
    assert tap.queue.qsize() <= SSE_LOST + 1
    told = [tap.queue.get_nowait() for _ in range(tap.queue.qsize())]
    assert told.index(None) == len(told) - 1


def test_calls_share_a_list_that_all_of_them_get():
    """As many calls as the list has items: with a list for each they would hold 400 million items."""
    count = 20_000
    registry = Registry()
    registry.add_module(control)
    executor = Executor(registry)
    planner = Planner(executor.kind, lambda node: Context(), b"", most_steps=10)
    planner.add(Node("numbers", "Range", {}))
    step = planner.add(Node("one", "TakeFromList", {"values": Link("numbers", 0), "index": Link("numbers", 0)}))
    items = tuple(Item(number, bytes([1]) + number.to_bytes(16, "big")) for number in range(count))
    calls = calls_of(step, {"values": items, "index": items}, lambda step, values: ())
    assert len(calls) == count and calls[7].values["index"] == 7
    assert calls[0].values["values"] is calls[-1].values["values"]
    executor.close()

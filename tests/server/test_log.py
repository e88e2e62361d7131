"""What server and worker said, as the page shows it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from engine.server.log_book import LONGEST_LINE, MOST_LINES, LogBook
from tests.server.serving import make_data, serving
from tests.server.test_v1 import easel, over, submit

TALK = '''
import logging, sys
from engine.graph import Context, Shown, node

@node("Talk", category="test", output_node=True, cache="always_run")
def talk(ctx: Context) -> Shown:
    """Say things."""
    ctx.log.warning("half of %s", "it")
    print("merely printed", file=sys.stderr)
    return Shown({"text": []})
'''


def said(book: LogBook) -> list[tuple[str, str, str]]:
    return [(line.level, line.name, line.text) for line in book.after(0)]


def test_the_workers_output_is_read_wherever_it_is_cut():
    book = LogBook()
    whole = (
        "2026-11-25 10:00:00,123 INFO easel.worker: ready\n"
        "2026-11-25 10:00:01,000 ERROR easel.node: it broke\nTraceback (most recent call last):\n  ValueError: x\n"
        "\rloading 1%\rloading 100%\r\n\n2026-11-25 10:00:02,000 CRITICAL easel: end\n"
    )
    for start in range(0, len(whole), 7):
        book.worker_said(whole[start : start + 7])
    assert said(book) == [
        ("info", "easel.worker", "ready"),
        ("error", "easel.node", "it broke"),
        ("error", "easel.node", "Traceback (most recent call last):"),
        ("error", "easel.node", "  ValueError: x"),
        ("error", "easel.node", "loading 100%"),
        ("error", "easel", "end"),
    ]


def test_it_stays_small_whatever_is_said():
    book = LogBook()
    for _ in range(3 * MOST_LINES):
        book.worker_said("x" * 100)
    book.worker_said("\n")
    for number in range(MOST_LINES + 5):
        book.worker_said(f"{number}\n")
    book.worker_said("y" * 3 * LONGEST_LINE + "\n")
    lines = book.after(0)
    assert len(lines) == MOST_LINES and len(lines[-1].text) == LONGEST_LINE
    assert book.after(lines[-2].number) == lines[-1:]


def test_what_the_server_logs_is_kept_with_its_traceback():
    book = LogBook()
    log = logging.Logger("easel.test")
    log.addHandler(book)
    try:
        raise ValueError("inside")
    except ValueError:
        log.exception("outside %d", 1)
    ((level, name, text),) = said(book)
    assert (level, name) == ("error", "easel.test")
    assert text.startswith("outside 1\n") and text.endswith("ValueError: inside")


def test_a_message_whose_arguments_do_not_fit_stops_nobody():
    book = LogBook()
    log = logging.Logger("easel.test")
    log.addHandler(book)
    log.warning("%d pictures", "no")
    assert said(book) == [("warning", "easel.test", "%d pictures ('no',)")]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "level=info"])
async def test_odd_questions_are_refused(data, query):
    async with serving(data) as api:
        await api.json("GET", f"/api/v1/system/log?{query}", 400)


async def test_a_page_reads_what_nodes_say(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "custom_nodes" / "talk.py").write_text(TALK)
    async with serving(data) as api:
        job = await over(api, (await submit(api, easel({"talk": {"class_type": "Talk", "inputs": {}}})))["id"])
        assert job["state"] == "succeeded"
        async with asyncio.timeout(60):
            while not (lines := [line for line in (await api.json("GET", "/api/v1/system/log"))["lines"] if "printed" in line["text"]]):
                await asyncio.sleep(0.01)
        everything = (await api.json("GET", "/api/v1/system/log"))["lines"]
        told = next(line for line in everything if line["text"] == "half of it")
        assert (told["source"], told["level"], told["name"].startswith("easel.node")) == ("worker", "warning", True)
        assert lines[0]["number"] > told["number"]
        last = (await api.json("GET", "/api/v1/system/log"))["last"]
        assert last >= everything[-1]["number"]
        assert all(line["number"] > last for line in (await api.json("GET", f"/api/v1/system/log?after={last}"))["lines"])

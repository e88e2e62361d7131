"""What server and worker said, as the page shows it."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.log_lines import Lines, about
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

BREAK = '''
import asyncio
from engine.errors import InvalidInput
from engine.graph import Context, Shown, node

@node("Break", category="test", output_node=True, cache="always_run")
def break_it(ctx: Context, words: str = "") -> Shown:
    """Fail, on purpose or by accident."""
    ctx.log.warning("%s begins", ctx.node_id)
    if words:
        raise InvalidInput(words, hint="Write nothing.")
    return Shown({"text": [{}["lost"]]})

@node("BreakLater", category="test", output_node=True, cache="always_run")
async def break_later(ctx: Context) -> Shown:
    """Fail after a while."""
    await asyncio.sleep(0.01)
    ctx.log.warning("%s begins", ctx.node_id)
    raise ValueError("late")

def stamp(words: str) -> str:
    raise InvalidInput(words, hint="Write nothing.")

@node("BreakBefore", category="test", output_node=True, fingerprint=stamp)
def break_before(words: str) -> Shown:
    """Fail before it begins."""
    return Shown({"text": [words]})
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


@pytest.mark.parametrize("query", ["after=x", "after=-1", "level=info", f"job={'x' * 201}"])
async def test_odd_questions_are_refused(data, query):
    async with serving(data) as api:
        await api.json("GET", f"/api/v1/system/log?{query}", 400)


def test_lines_know_what_they_are_about():
    book = LogBook()
    stream = io.StringIO()
    log = logging.Logger("easel.test")
    for handler in (book, logging.StreamHandler(stream)):
        handler.setFormatter(Lines())
        log.addHandler(handler)
    with about("my job: 1=2", "outer:ü x"):
        log.warning("first\nof two")
        with about("other"):
            log.info("in between")
    log.error("of nobody job=forged node=forged: text")
    book.worker_said(stream.getvalue() + "printed\n")
    here, there = ([line for line in book.after(0) if line.source == source] for source in ("server", "worker"))
    assert [(line.job, line.node, line.text) for line in here] == [
        ("my job: 1=2", "outer:ü x", "first\nof two"),
        ("other", "", "in between"),
        ("", "", "of nobody job=forged node=forged: text"),
    ]
    assert [(line.job, line.node, line.text) for line in there] == [
        ("my job: 1=2", "outer:ü x", "first"),
        ("my job: 1=2", "outer:ü x", "  of two"),
        ("other", "", "in between"),
        ("", "", "of nobody job=forged node=forged: text"),
        ("", "", "printed"),
    ]
    assert book.after(0, node="outer") == book.after(0, job="my job: 1=2") == [here[0], *there[:2]]
    assert book.after(0, node="out") == [] == book.after(0, job="other", node="outer")


async def test_what_a_node_says_and_why_it_failed_is_found_by_its_job_and_by_its_id(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "custom_nodes" / "break.py").write_text(BREAK)
    async with serving(data) as api:
        told = {"class_type": "Break", "inputs": {"words": "on purpose"}}
        nodes = {"first": {"class_type": "Break", "inputs": {}}, "second": told, "later": {"class_type": "BreakLater", "inputs": {}}}
        jobs = [await over(api, (await submit(api, easel(nodes)))["id"]) for _ in range(2)]
        for job in jobs:
            found = {failure["node_id"]: failure["error"] for failure in job["failures"]}
            last = {"  KeyError: 'lost'", "  ValueError: late", *(error["details"]["log_id"] for error in found.values())}
            async with asyncio.timeout(60):  # what a worker prints comes by another way than what it computes
                while [text for text in last if text not in await text_of(api, job["id"])]:
                    await asyncio.sleep(0.01)
            for node, text in (("first", "KeyError: 'lost'"), ("second", "on purpose"), ("later", "ValueError: late")):
                lines = await lines_of(api, job["id"], node)
                assert {(line["job"], line["node"]) for line in lines} == {(job["id"], node)}
                assert lines[0]["text"] == f"{node} begins"
                told = [line for line in lines if found[node]["details"]["log_id"] in line["text"]]
                assert len(told) == 1 and told[0]["level"] == "error" and text in told[0]["text"]
                assert any("Traceback" in line["text"] for line in lines) == (node != "second")
        assert len({failure["error"]["details"]["log_id"] for job in jobs for failure in job["failures"]}) == 6


async def test_a_file_of_nodes_that_cannot_be_read_is_told_with_the_reason(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "custom_nodes" / "half.py").write_text("def half(:\n")
    async with serving(data) as api, asyncio.timeout(60):
        wanted = "The nodes of easel_custom_nodes.half are not there: SyntaxError"
        while not [line for line in await lines_of(api, "") if wanted in line["text"] and line["level"] == "error"]:
            await asyncio.sleep(0.01)


async def test_a_node_that_cannot_begin_fails_and_is_found_by_its_id_too(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "custom_nodes" / "break.py").write_text(BREAK)
    async with serving(data) as api:
        nodes = {"before": {"class_type": "BreakBefore", "inputs": {"words": "no such file"}}}
        job = await over(api, (await submit(api, easel(nodes)))["id"])
        assert job["state"] == "failed" and [failure["node_id"] for failure in job["failures"]] == ["before"]
        name = job["failures"][0]["error"]["details"]["log_id"]
        async with asyncio.timeout(60):
            while f"Log id {name}: no such file Write nothing." not in await text_of(api, job["id"]):
                await asyncio.sleep(0.01)


async def lines_of(api, job: str, node: str = "") -> list[dict[str, Any]]:
    return (await api.json("GET", "/api/v1/system/log?" + urlencode({"job": job, "node": node})))["lines"]


async def text_of(api, job: str) -> str:
    return "\n".join(line["text"] for line in await lines_of(api, job))


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

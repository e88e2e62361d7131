"""What can be done with the queue over /api/v1, and what is told of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.server.state import SERVER
from engine.server.v1 import events
from tests.server.serving import chain, make_data, one, serving
from tests.server.test_files import png
from tests.server.test_v1 import easel, over, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def paused(api):
    await api.json("POST", "/api/v1/queue/pause")
    return [(await submit(api, chain(1, start)))["id"] for start in (100, 101, 102)]


async def test_a_paused_queue_starts_nothing_until_it_goes_on(api):
    ids = await paused(api)
    told = await api.json("GET", "/api/v1/queue")
    assert (told["paused"], told["running"], told["waiting"], told["remaining"]) == (True, None, ids, 3)
    assert [job["id"] for job in told["jobs"]] == ids
    assert (await api.json("POST", "/api/v1/queue/resume"))["paused"] is False
    assert [(await over(api, job_id))["state"] for job_id in ids] == ["succeeded"] * 3


async def test_waiting_jobs_change_places(api):
    a, b, c = await paused(api)

    async def move(job_id, before, status=200):
        told = await api.json("POST", f"/api/v1/jobs/{job_id}/move", status, data=json.dumps({"before": before}))
        return told.get("waiting")

    assert await move(c, a) == [c, a, b]
    assert await move(c, b) == [a, c, b]
    assert await move(a, None) == [c, b, a]
    for _ in range(60):  # places between two numbers run out; then all get new ones
        c, b = b, c
        assert await move(c, b) == [c, b, a]
    assert await move(c, c) == [c, b, a]
    await move("none", a, 404)
    await move(a, "none", 409)
    assert [job["id"] for job in (await api.json("GET", "/api/v1/queue"))["jobs"]] == [c, b, a]
    await api.json("POST", "/api/v1/queue/resume")
    jobs = [await over(api, job_id) for job_id in (c, b, a)]
    assert [job["started"] for job in jobs] == sorted(job["started"] for job in jobs)


async def test_waiting_jobs_are_paused_and_cancelled(api):
    a, b, c = await paused(api)
    assert (await api.json("POST", f"/api/v1/jobs/{b}/pause"))["state"] == "paused"
    await api.json("POST", f"/api/v1/jobs/{b}/pause", 409)
    await api.json("POST", "/api/v1/queue/resume")
    await over(api, c)
    assert (await api.json("GET", f"/api/v1/jobs/{b}"))["state"] == "paused"
    await api.json("POST", f"/api/v1/jobs/{b}/release")
    assert (await over(api, b))["state"] == "succeeded"
    await api.json("POST", f"/api/v1/jobs/{a}/finish", 409)
    d, *_ = await paused(api)
    assert (await api.json("POST", "/api/v1/queue/clear"))["waiting"] == []
    assert (await over(api, d))["state"] == "cancelled"
    await api.json("POST", "/api/v1/queue/resume")


async def test_a_running_job_is_paused_and_goes_on(api):
    job_id = (await submit(api, one("Wait")))["id"]
    await api.until_running(job_id)
    await api.json("POST", f"/api/v1/jobs/{job_id}/pause")
    async with asyncio.timeout(60):
        while (job := await api.json("GET", f"/api/v1/jobs/{job_id}"))["state"] != "paused":
            await asyncio.sleep(0.01)
    assert job["crashes"] == 0
    assert (await over(api, (await submit(api, chain(1)))["id"]))["state"] == "succeeded"
    await api.json("POST", f"/api/v1/jobs/{job_id}/release")
    await api.until_running(job_id)
    job = await api.json("GET", f"/api/v1/jobs/{job_id}")
    assert (job["state"], job["attempt"]) == ("running", 2)


async def test_a_job_is_asked_for_again(api):
    for asked in (easel(chain(2, 7)), chain(2, 8)):
        job = await over(api, (await submit(api, asked, client_id="me"))["id"])
        new = await api.json("POST", f"/api/v1/jobs/{job['id']}/retry", 201)
        assert new["id"] != job["id"] and new["client_id"] == "me"
        assert (await over(api, new["id"]))["outputs"] == job["outputs"]
    sent = (await api.queue(chain(2, 9)))["prompt_id"]
    await api.entry(sent)
    again = await api.json("POST", f"/api/v1/jobs/{sent}/retry", 201)
    assert (await over(api, again["id"]))["outputs"] == {"show": {"text": ["11"]}}
    waiting = (await submit(api, one("Wait")))["id"]
    await api.json("POST", f"/api/v1/jobs/{waiting}/retry", 409)
    await api.json("POST", "/api/v1/jobs/none/retry", 404)
    mine = await api.json("GET", "/api/v1/jobs?client_id=me&results=true")
    assert len(mine["jobs"]) == 4 and all(job["outputs"] for job in mine["jobs"])


async def test_files_of_a_job_are_told_and_go_with_it_if_asked(api):
    (api.settings.data / "output/deep").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        (api.settings.data / "output/deep" / name).write_bytes(png())
    for name, query in (("a.png", ""), ("b.png", "?files=true")):
        job = await over(api, (await submit(api, {"node": {"class_type": "Record", "inputs": {"name": name}}}))["id"])
        assert job["files"] == [{"node_id": "node", "root": "output", "name": f"deep/{name}", "kind": "image"}]
        await api.json("DELETE", f"/api/v1/jobs/{job['id']}{query}", 204)
    assert [path.name for path in (api.settings.data / "output/deep").iterdir()] == ["a.png"]


async def test_a_stream_tells_of_the_queue(api):
    seen = []
    async with asyncio.timeout(60), api.get("/api/v1/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        job_id = None
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            seen.append(json.loads(line[6:]))
            if job_id is None:
                job_id = (await submit(api, one("Wait", steps=30)))["id"]
            if seen[-1]["type"] == "queue" and any(event["type"] == "job" for event in seen):
                break
    assert seen[0] == {"type": "queue", "paused": False, "running": None, "waiting": [], "remaining": 0}
    assert any(event.get("running") == job_id for event in seen)
    assert {"type": "job", "id": job_id, "state": "succeeded"} in seen
    assert seen[-1]["remaining"] == 0


async def test_too_many_waiting_jobs_are_refused_on_both_faces(tmp_path):
    async with serving(make_data(tmp_path / "data"), max_waiting=2) as api:
        await api.json("POST", "/api/v1/queue/pause")
        first = await submit(api, chain(1), id="first")
        await submit(api, chain(1))
        assert (await submit(api, chain(1), 503))["error"]["code"] == "busy"
        assert (await api.queue(chain(1), 503))["error"]["type"] == "busy"
        assert (await submit(api, chain(1), 200, id="first"))["id"] == first["id"]


async def test_the_queue_stays_paused_over_a_restart(tmp_path):
    data = make_data(tmp_path / "data")
    async with serving(data) as api:
        await api.json("POST", "/api/v1/queue/pause")
        job_id = (await submit(api, chain(1)))["id"]
    async with serving(data) as api:
        told = await api.json("GET", "/api/v1/queue")
        assert told["paused"] and told["waiting"] == [job_id]
        await api.json("POST", "/api/v1/queue/resume")
        assert (await over(api, job_id))["state"] == "succeeded"


async def until_only_the_hub_listens(api):
    """A stream notices that its client is gone when it has something to say."""
    async with asyncio.timeout(60):
        while len(api.app[SERVER].jobs.listeners) > 1:
            await api.json("POST", "/api/v1/queue/resume")
            await asyncio.sleep(0.01)


async def test_there_are_not_more_streams_than_there_may_be(api, monkeypatch):
    monkeypatch.setattr(events, "MOST_STREAMS", 3)
    headers = {"Accept": "text/event-stream"}
    await until_only_the_hub_listens(api)
    streams = [await api.get("/api/v1/events", headers=headers) for _ in range(3)]
    assert [stream.status for stream in streams] == [200] * 3
    refused = await api.json("GET", "/api/v1/events", 503)
    assert "Close pages" in refused["error"]["hint"]
    for stream in streams:
        stream.close()
    await until_only_the_hub_listens(api)


async def test_what_a_slow_client_has_not_heard_does_not_grow_without_end(api):
    watch = events._Watch()
    for _ in range(3 * events.MOST_OVER):
        watch.on_over(None)
    assert len(watch.over) == events.MOST_OVER

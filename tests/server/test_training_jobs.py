"""A job that trains gives way to one that does not, and comes to the same in the end: the queue, a real worker, and a node that counts."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from engine.jobs.journal import ATTEMPT_SPAN
from engine.server.state import SERVER
from tests.server.serving import chain, make_data, one, serving
from tests.server.test_v1 import over, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


def result(steps: int = 30, start: int = 1) -> dict:
    value = start
    for step in range(steps):
        value = (value * 31 + step) % 1_000_003
    return {"show": {"text": [str(value)]}}


def taken(api) -> list[int]:
    """The steps that were computed, in the order in which they were."""
    return [int(step) for step in (api.settings.data / "output/steps.txt").read_text().split()]


def hold(api):
    """Trainings stay at their third step until `go_on`."""
    (api.settings.data / "output/hold").touch()


def go_on(api):
    (api.settings.data / "output/hold").unlink()


async def submit_held(api, **inputs) -> str:
    """A training that has come to its third step and stays there."""
    hold(api)
    job = await submit(api, one("Train", **inputs))
    assert job["preemptible"]
    async with asyncio.timeout(60):
        while not (api.settings.data / "output/held").exists():
            await asyncio.sleep(0.01)
    return job["id"]


@pytest.fixture(autouse=True)
def no_steps(api):
    for name in ("steps.txt", "hold", "held"):
        (api.settings.data / "output" / name).unlink(missing_ok=True)


async def state(api, job_id, *wanted):
    async with asyncio.timeout(60):
        while (job := await api.json("GET", f"/api/v1/jobs/{job_id}"))["state"] not in wanted:
            await asyncio.sleep(0.01)
    return job


async def test_a_picture_is_drawn_in_between_and_the_training_goes_on(api):
    training = await submit_held(api, start=2)
    pictures = [await submit(api, chain(2, start)) for start in (500, 501)]
    assert not pictures[0]["preemptible"]
    done = [await over(api, job["id"]) for job in pictures]
    go_on(api)
    job = await over(api, training)
    assert job["outputs"] == result(start=2) and (job["crashes"], job["attempt"]) == (0, 2)
    assert all(picture["attempt"] == 1 for picture in done)
    assert taken(api) == list(range(30))
    events = (await api.json("GET", f"/api/v1/jobs/{job['id']}/events"))["events"]
    told = [(event["type"], event.get("state")) for event in events if event["type"].startswith("job_")]
    assert told == [("job_started", None), ("job_interrupted", "queued"), ("job_started", None), ("job_finished", "succeeded")]
    numbers = [event["sequence"] for event in events]
    assert numbers == sorted(set(numbers)) and numbers[-1] > 2 * ATTEMPT_SPAN
    reasons = {record["node_id"]: record["reason"] for record in (await api.json("GET", f"/api/v1/jobs/{job['id']}/nodes"))["nodes"]}
    assert set(reasons) == {"node", "show"}


async def test_trainings_do_not_interrupt_each_other_and_come_last(api):
    first = await submit_held(api, start=3, steps=20)
    second = (await submit(api, one("Train", start=4, steps=3), front=True))["id"]
    told = await api.json("GET", "/api/v1/queue/state")
    assert (told["running"], told["waiting"]) == (first, [second])
    go_on(api)
    jobs = [await over(api, job_id) for job_id in (first, second)]
    assert [job["outputs"] for job in jobs] == [result(20, 3), result(3, 4)]
    assert jobs[0]["attempt"] == 1 and jobs[0]["finished"] <= jobs[1]["started"]
    await api.json("POST", "/api/v1/queue/pause")
    training, picture = [(await submit(api, asked))["id"] for asked in (one("Train", start=10, steps=3), chain(2, 510))]
    assert (await api.json("GET", "/api/v1/queue/state"))["waiting"] == [picture, training]
    await api.json("POST", "/api/v1/queue/resume")
    await over(api, training)


async def test_nothing_makes_way_while_the_queue_is_paused(api):
    training = await submit_held(api, start=5, steps=25)
    await api.json("POST", "/api/v1/queue/pause")
    picture = (await submit(api, chain(2, 520)))["id"]
    go_on(api)
    assert (await over(api, training))["attempt"] == 1
    await api.json("POST", "/api/v1/queue/resume")
    await over(api, picture)


async def test_a_training_is_paused_and_goes_on_after_a_restart_of_the_server(tmp_path):
    data = make_data(tmp_path / "data")
    async with serving(data) as api:
        training = await submit_held(api, start=6)
        await api.json("POST", f"/api/v1/jobs/{training}/pause")
        job = await state(api, training, "paused")
        assert (job["reason"], job["finished"]) == ("Paused", None)
        before = taken(api)
    async with serving(data) as api:
        go_on(api)
        assert (await state(api, training, "paused"))["attempt"] == 1
        await api.json("POST", f"/api/v1/jobs/{training}/release")
        assert (await over(api, training))["outputs"] == result(start=6)
        assert before == [0, 1] and taken(api) == list(range(30))


async def test_a_server_that_is_stopped_loses_no_step_of_a_training(tmp_path):
    data = make_data(tmp_path / "data")
    async with serving(data) as api:
        training = await submit_held(api, start=11)
    async with serving(data) as api:
        go_on(api)
        job = await over(api, training)
        assert job["outputs"] == result(start=11) and (job["attempt"], job["crashes"]) == (2, 0)
        assert taken(api) == list(range(30))


async def test_a_training_ended_early_gives_what_it_has_and_is_trained_in_full_when_asked_again(api):
    training = await submit_held(api, start=7)
    await api.json("POST", f"/api/v1/jobs/{training}/finish")
    job = await over(api, training)
    assert job["state"] == "succeeded" and taken(api) == [0, 1, 2] and job["outputs"] == result(3, 7)
    go_on(api)
    again = (await submit(api, one("Train", start=7)))["id"]
    assert (await over(api, again))["outputs"] == result(start=7)


async def test_a_training_that_made_way_can_be_cancelled_and_its_state_goes_with_it(api):
    training = await submit_held(api, start=8)
    await api.json("POST", f"/api/v1/jobs/{training}/pause")
    await state(api, training, "paused")
    await api.json("POST", f"/api/v1/jobs/{training}/cancel")
    await api.json("DELETE", f"/api/v1/jobs/{training}", 204)
    before = taken(api)
    go_on(api)
    again = (await submit(api, one("Train", start=8)))["id"]
    await over(api, again)
    assert taken(api) == [*before, *range(30)]


async def test_a_worker_that_dies_after_making_way_costs_nothing(api):
    training = await submit_held(api, start=9)
    await api.json("POST", f"/api/v1/jobs/{training}/pause")
    await state(api, training, "paused")
    os.kill(api.server.app[SERVER].supervisor.pid, signal.SIGKILL)
    go_on(api)
    await api.json("POST", f"/api/v1/jobs/{training}/release")
    job = await over(api, training)
    assert job["outputs"] == result(start=9) and taken(api) == list(range(30)) and job["crashes"] == 0

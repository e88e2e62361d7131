"""Events to ComfyUI's messages, without a server: what a client hears of expansions, crowded runs and ends."""

from __future__ import annotations

import json

import pytest

from engine.comfy.protocol import messages
from engine.comfy.protocol.history import history_entry
from engine.comfy.protocol.messages import RunMessages
from engine.graph.events import JobFinished, JobInterrupted, JobStarted, NodeFinished, NodesCached, NodeStarted
from engine.jobs.records import Body, Job, Result
from engine.jobs.states import State


def job(state: State = State.RUNNING, **values) -> Job:
    fields = {"row": 1, "id": "j", "number": 1, "attempt": 1, "crashes": 0, "client_id": "c", "digest": "", "targets": ("9",), "total": 3}
    fields["preemptible"] = False
    return Job(**{**fields, "state": state, "created": 1.0, "started": 2.0, "finished": 3.0, "reason": "", **values})


class Run:
    def __init__(self) -> None:
        self.result = Result()
        self.run = RunMessages(job(), self.result)

    def hear(self, *events) -> list[dict]:
        batch = [event.to_json() for event in events]
        for event in batch:
            self.result.add(event)
        return [json.loads(message.text) for message in self.run.translate(batch, ())]


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(messages.time, "monotonic", lambda: now[0])
    return now


def test_a_node_of_an_expansion_is_shown_as_the_node_that_made_it():
    run = Run()
    run.hear(JobStarted(time=1.0), NodesCached(nodes=()))
    heard = run.hear(NodeStarted(node_id="5.1", display_id="5", parent_id="5"))
    executing = next(message["data"] for message in heard if message["type"] == "executing")
    assert executing == {"node": "5.1", "display_node": "5", "prompt_id": "j"}
    state = next(message["data"]["nodes"]["5.1"] for message in heard if message["type"] == "progress_state")
    assert (state["display_node_id"], state["parent_node_id"], state["real_node_id"]) == ("5", "5", "5")


def test_progress_state_goes_ten_times_a_second_with_running_and_just_ended_nodes(clock):
    run = Run()
    run.hear(JobStarted(time=1.0))
    states = []
    for number in range(100):
        clock[0] += 0.01
        heard = run.hear(NodeStarted(node_id=str(number)), NodeFinished(node_id=str(number)))
        states += [message["data"]["nodes"] for message in heard if message["type"] == "progress_state"]
    assert 9 <= len(states) <= 11
    assert max(len(nodes) for nodes in states) <= 11
    heard = run.hear(JobFinished(state="succeeded"))
    assert [message["type"] for message in heard][-1] == "execution_success"
    told = [node for nodes in states for node in nodes] + [node for message in heard[:-1] for node in message["data"]["nodes"]]
    assert sorted(told, key=int) == [str(number) for number in range(100)]


def test_cached_outputs_are_executed_and_never_executing():
    run = Run()
    heard = run.hear(JobStarted(), NodesCached(nodes=("1", "9")), NodeFinished(node_id="9", cached=True, ui={"text": ["x"]}))
    assert [message["type"] for message in heard] == ["execution_start", "execution_cached", "executed"]


def test_a_second_attempt_starts_anew():
    run = Run()
    run.hear(JobStarted(), NodeStarted(node_id="1"))
    assert run.run.at_work == "1"
    assert run.hear(JobInterrupted(state="queued", reason="it died")) == []
    assert run.run.at_work is None


def test_a_parked_job_is_an_error_in_history():
    result = Result(last="7")
    entry = history_entry(job(State.PARKED, reason="Parked after 2 crashes"), Body(b"{}", b"{}", None), result)
    name, data = entry["status"]["messages"][-1]
    assert name == "execution_error" and data["node_id"] == "7" and data["exception_message"] == "Parked after 2 crashes\n"
    assert entry["status"]["status_str"] == "error" and entry["status"]["completed"] is False


def test_several_failures_are_one_error_that_names_the_others():
    failure = {
        "node_id": "1",
        "display_id": "1",
        "class_type": "X",
        "exception_type": "ValueError",
        "traceback": ["t"],
        "inputs": {"a": "1"},
    }
    failures = [{**failure, "error": {"message": "first", "hint": "do this"}}, {**failure, "node_id": "2", "error": None}]
    _, data = messages.execution_end("j", "failed", 1.5, Result(failures=failures, executed=["0"], last="2"), "")
    assert data["exception_message"] == "first\ndo this\n1 more node failed: 2\n"
    assert data["current_inputs"] == {"a": ["1"]} and data["timestamp"] == 1500


def test_text_that_is_no_utf8_is_still_json():
    assert json.loads(messages.message("x", {"a": "\ud800"}))["data"] == {"a": "\ud800"}

"""The WebSocket: which messages come, in which order, to whom."""

from __future__ import annotations

import asyncio
import json
import struct

import aiohttp
import pytest

from engine.server.comfy.socket import HUB
from tests.server.serving import chain, one

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Ear:
    """A connection that keeps all it hears."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.texts: list[dict] = []
        self.pictures: list[bytes] = []

    async def next(self) -> dict:
        async with asyncio.timeout(60):
            while True:
                received = await self.socket.receive()
                assert received.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), received
                if received.type is aiohttp.WSMsgType.BINARY:
                    self.pictures.append(received.data)
                    continue
                self.texts.append(json.loads(received.data))
                return self.texts[-1]

    async def until(self, kind: str, **wanted) -> dict:
        while True:
            heard = await self.next()
            if heard["type"] == kind and all(heard["data"].get(name) == value for name, value in wanted.items()):
                return heard

    async def until_over(self, prompt_id: str) -> list[str]:
        """Everything up to the last message of the job; returns the kinds heard."""
        start = len(self.texts)
        await self.until("executing", node=None, prompt_id=prompt_id)
        return [text["type"] for text in self.texts[start:]]


async def connect(api, sid: str, **options) -> Ear:
    ear = Ear(await api.ws_connect(f"/ws?clientId={sid}", **options))
    await ear.until("status")
    return ear


async def test_a_run_is_told_in_comfyuis_order(api):
    ear = await connect(api, "a")
    assert ear.texts[0]["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "a"}
    job = (await api.queue(chain(3), client_id="a"))["prompt_id"]
    kinds = await ear.until_over(job)
    said = [kind for kind in kinds if kind not in ("status", "progress_state")]
    assert said == ["execution_start", "execution_cached", *["executing"] * 4, "executed", "execution_success", "executing"]
    assert kinds[0] == "status" and kinds[-2:] == ["status", "executing"]
    data = {text["type"]: text["data"] for text in ear.texts}
    assert data["executed"] == {"node": "show", "display_node": "show", "output": {"text": ["3"]}, "prompt_id": job}
    assert all(text["data"]["prompt_id"] == job for text in ear.texts if text["type"] == "executing")
    assert isinstance(data["execution_start"]["timestamp"], int)
    last_state = [text["data"]["nodes"] for text in ear.texts if text["type"] == "progress_state"][-1]
    assert last_state["show"]["state"] == "finished" and last_state["show"]["real_node_id"] == "show"
    await ear.socket.close()


async def test_history_can_be_read_when_the_last_message_arrives(api):
    ear = await connect(api, "a")
    for start in range(10):
        job = (await api.queue(chain(2, start), client_id="a"))["prompt_id"]
        await ear.until("execution_success", prompt_id=job)
        assert job in await api.json("GET", f"/history/{job}")
        await ear.until("executing", node=None, prompt_id=job)
        assert ear.texts[-2]["data"]["status"]["exec_info"]["queue_remaining"] == 0
    await ear.socket.close()


async def test_a_cached_run_says_so_and_still_gives_its_outputs(api):
    ear = await connect(api, "a")
    job = (await api.queue(chain(3, 100), client_id="a"))["prompt_id"]
    await ear.until_over(job)
    job = (await api.queue(chain(3, 100), client_id="a"))["prompt_id"]
    kinds = await ear.until_over(job)
    assert kinds.count("executing") == 1
    cached = [text["data"] for text in ear.texts if text["type"] == "execution_cached"][-1]
    assert sorted(cached["nodes"]) == ["0", "1", "2", "show"]
    executed = [text["data"] for text in ear.texts if text["type"] == "executed"][-1]
    assert executed["output"] == {"text": ["103"]}
    await ear.socket.close()


async def test_progress_and_previews_reach_both_kinds_of_client(api):
    plain, rich = await connect(api, "plain"), await connect(api, "rich")
    await rich.socket.send_str(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
    assert (await rich.until("feature_flags"))["data"] == {"supports_preview_metadata": True, "max_upload_size": 100 * 2**20}
    for ear in (plain, rich):
        sid = "plain" if ear is plain else "rich"
        job = (await api.queue(one("Wait", steps=40), client_id=sid))["prompt_id"]
        await ear.until_over(job)
        progress = [text["data"] for text in ear.texts if text["type"] == "progress"]
        assert progress[-1] == {"value": 40, "max": 40, "prompt_id": job, "node": "node"}
        assert ear.pictures
    assert plain.pictures[0] == struct.pack("!II", 1, 1) + b"\xff\xd8 a picture"
    kind, length = struct.unpack("!II", rich.pictures[0][:8])
    metadata = json.loads(rich.pictures[0][8 : 8 + length])
    assert kind == 4 and rich.pictures[0][8 + length :] == b"\xff\xd8 a picture"
    assert metadata["display_node_id"] == "node" and metadata["image_type"] == "image/jpeg" and metadata["prompt_id"] == job
    for ear in (plain, rich):
        await ear.socket.close()


async def test_progress_state_is_sparse_and_small(api):
    ear = await connect(api, "a")
    started = asyncio.get_running_loop().time()
    job = (await api.queue(chain(2_000, 7), client_id="a"))["prompt_id"]
    await ear.until_over(job)
    seconds = asyncio.get_running_loop().time() - started
    states = [text["data"]["nodes"] for text in ear.texts if text["type"] == "progress_state"]
    assert len(states) <= 10 * seconds + 2
    finished = [node for nodes in states for node, state in nodes.items() if state["state"] == "finished"]
    assert len(finished) == len(set(finished)) == 2_001  # each once: the whole stays linear
    await ear.socket.close()


async def test_a_job_is_told_only_to_its_client(api):
    mine, other = await connect(api, "mine"), await connect(api, "other")
    job = (await api.queue(chain(2, 55), client_id="mine"))["prompt_id"]
    await mine.until_over(job)
    probe = (await api.queue(chain(2, 56), client_id="other"))["prompt_id"]
    await other.until_over(probe)
    about = {text["data"].get("prompt_id") for text in other.texts if text["type"] != "status"}
    assert about == {probe}
    for ear in (mine, other):
        await ear.socket.close()


async def test_the_error_comes_after_the_other_branches(api):
    ear = await connect(api, "a")
    graph = {
        "bad": {"class_type": "Fail", "inputs": {"text": "no", "a": 0}},
        "out": {"class_type": "Show", "inputs": {"values0": ["bad", 0]}},
    }
    graph.update(chain(50, 1_000))
    job = (await api.queue(graph, client_id="a"))["prompt_id"]
    kinds = await ear.until_over(job)
    assert "execution_success" not in kinds
    assert kinds.index("execution_error") > max(index for index, kind in enumerate(kinds[:-1]) if kind in ("executing", "executed"))
    error = next(text["data"] for text in ear.texts if text["type"] == "execution_error")
    assert error["node_id"] == "bad" and error["exception_type"] == "ValueError"
    await ear.socket.close()


async def test_a_blocked_branch_is_told_and_the_run_goes_on(api):
    ear = await connect(api, "a")
    graph = {**one("Block"), **{f"x{name}": node for name, node in chain(1, 5).items()}}
    graph["xshow"]["inputs"] = {"values0": ["x0", 0]}
    job = (await api.queue(graph, client_id="a"))["prompt_id"]
    kinds = await ear.until_over(job)
    error = next(text["data"] for text in ear.texts if text["type"] == "execution_error")
    assert error["exception_type"] == "ExecutionBlocked" and error["exception_message"] == "Execution Blocked: not today"
    assert "timestamp" not in error and "execution_success" in kinds
    await ear.socket.close()


async def test_an_interrupted_job_says_so(api):
    ear = await connect(api, "a")
    job = (await api.queue(one("Wait"), client_id="a"))["prompt_id"]
    await ear.until("executing", node="node")
    await api.json("POST", "/interrupt")
    kinds = await ear.until_over(job)
    assert "execution_interrupted" in kinds and "execution_error" not in kinds
    await ear.socket.close()


async def test_a_client_that_comes_back_hears_where_the_job_is_and_the_old_connection_does_not_shut_the_new_one_out(api, monkeypatch):
    first = await connect(api, "a")
    job = (await api.queue(one("Wait"), client_id="a"))["prompt_id"]
    await first.until("executing", node="node")
    second = await connect(api, "a")
    assert (await second.until("executing"))["data"] == {"node": "node"}
    hub, gone = api.app[HUB], asyncio.Event()
    remove = hub.remove
    monkeypatch.setattr(hub, "remove", lambda client: (remove(client), gone.set()))
    await first.socket.close()
    async with asyncio.timeout(60):
        await gone.wait()
    await api.json("POST", "/interrupt")
    assert "execution_interrupted" in await second.until_over(job)
    await second.socket.close()


@pytest.mark.parametrize("text", ["{", "[]", "5", '{"type": 5}', "[" * 100_000, '{"type": "feature_flags", "data": 5}'])
async def test_a_message_that_makes_no_sense_is_passed_over(api, text):
    ear = await connect(api, "a")
    await ear.socket.send_str(text)
    job = (await api.queue(chain(1), client_id="a"))["prompt_id"]
    await ear.until_over(job)
    await ear.socket.close()


async def test_a_client_without_an_id_gets_one(api):
    ear = Ear(await api.ws_connect("/ws"))
    sid = (await ear.until("status"))["data"]["sid"]
    assert len(sid) == 32
    await ear.socket.close()


async def test_a_client_that_does_not_read_holds_nobody_up(api):
    deaf = await api.ws_connect("/ws?clientId=deaf", max_msg_size=0)
    job = (await api.queue(chain(5_000, 3), client_id="deaf"))["prompt_id"]
    assert (await api.entry(job))["status"]["status_str"] == "success"
    await deaf.close()

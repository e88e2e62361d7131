"""/api/v1: strict, all or nothing, and described."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from engine.graph.catalogue import Catalogue, InputInfo
from engine.server.catalogue_texts import CatalogueTexts
from engine.server.state import SERVER
from tests.server.serving import chain, one

pytestmark = pytest.mark.asyncio(loop_scope="module")


def easel(nodes):
    return {"format": "easel/1", "revision": 1, "nodes": nodes}


async def submit(api, workflow, status=201, **more):
    return await api.json("POST", "/api/v1/jobs", status, data=json.dumps({"workflow": workflow, **more}))


async def over(api, job_id):
    async with asyncio.timeout(60):
        while (job := await api.json("GET", f"/api/v1/jobs/{job_id}"))["state"] not in ("succeeded", "failed", "cancelled", "parked"):
            await asyncio.sleep(0.01)
    return job


@pytest.mark.parametrize("form", [easel, dict])
async def test_a_workflow_runs(api, form):
    job = await submit(api, form(chain(3)))
    assert job["state"] == "queued" and job["targets"] == ["show"]
    job = await over(api, job["id"])
    assert (job["state"], job["outputs"], job["failures"], job["attempt"]) == ("succeeded", {"show": {"text": ["3"]}}, [], 1)
    kept = await api.json("GET", f"/api/v1/jobs/{job['id']}/workflow")
    assert kept["nodes"]["0"]["inputs"] == {"a": 0, "b": 1}
    assert job["id"] in await api.json("GET", "/history")


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"a": "7"}, "invalid_input_type"),
        ({"a": 2.9}, "invalid_input_type"),
        ({"a": True}, "invalid_input_type"),
        ({"a": None}, "invalid_input_type"),
        ({"a": 1, "c": 2}, "unknown_input"),
        ({}, "required_input_missing"),
        ({"a": ["gone", 0]}, "bad_linked_input"),
        ({"a": ["0", 0]}, "dependency_cycle"),
        ({"a": 10**30}, "value_bigger_than_max"),
    ],
)
async def test_it_is_strict_and_lists_every_problem(api, inputs, code):
    graph = {**chain(1), "bad": {"class_type": "Show", "inputs": {"values0": ["nowhere", 0]}}}
    graph["0"]["inputs"] = inputs
    error = (await submit(api, graph, 400))["error"]
    codes = [problem["code"] for problem in error["details"]["problems"]]
    assert error["code"] == "invalid_workflow" and code in codes and len(codes) >= 2
    assert all(problem["message"] and problem["hint"] for problem in error["details"]["problems"])
    assert await api.json("GET", "/queue") == {"queue_running": [], "queue_pending": []}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"workflow": 5}',
        '{"workflow": {}, "unknown": 1}',
        '{"workflow": {}, "front": "yes"}',
        '{"workflow": {}, "id": ""}',
    ],
)
async def test_a_request_of_another_form_is_refused(api, body):
    error = (await api.json("POST", "/api/v1/jobs", 400, data=body))["error"]
    assert error["code"] in ("bad_request", "invalid_workflow") and error["message"]


async def test_the_same_request_twice_is_one_job(api):
    first = await submit(api, chain(2), id="mine")
    again = await submit(api, chain(2), 200, id="mine")
    assert (first["id"], first["number"]) == (again["id"], again["number"])
    assert (await submit(api, chain(3), 409, id="mine"))["error"]["code"] == "conflict"
    assert (await submit(api, chain(2), 409, id="mine", front=True))["error"]["code"] == "conflict"


async def test_targets_may_be_any_node(api):
    job = await over(api, (await submit(api, chain(5), targets=["2"]))["id"])
    assert job["state"] == "succeeded" and job["outputs"] == {}
    records = (await api.json("GET", f"/api/v1/jobs/{job['id']}/nodes"))["nodes"]
    assert sorted(record["node_id"] for record in records) == ["0", "1", "2"]
    assert (await submit(api, chain(5), 400, targets=["none"]))["error"]["details"]["problems"][0]["code"] == "unknown_target"


async def test_every_node_has_a_reason(api):
    async def reasons(b):
        nodes = {
            "new": {"class_type": "Add", "inputs": {"a": 40, "b": b}},
            "out": {"class_type": "Show", "inputs": {"values0": ["new", 0]}},
        }
        job = await over(api, (await submit(api, nodes))["id"])
        records = (await api.json("GET", f"/api/v1/jobs/{job['id']}/nodes"))["nodes"]
        return {record["node_id"]: record["reason"] for record in records}

    assert (await reasons(1))["new"] == "first run"
    assert (await reasons(1))["new"] == "hit memory"
    assert await reasons(9) == {"new": "input b changed 1 -> 9", "out": "upstream new changed"}


async def test_events_can_be_asked_for_by_number(api):
    job = await over(api, (await submit(api, chain(2, 60)))["id"])
    path = f"/api/v1/jobs/{job['id']}/events"
    everything = await api.json("GET", path)
    kinds = [event["type"] for event in everything["events"]]
    assert everything["state"] == "succeeded" and kinds[0] == "job_started" and kinds[-1] == "job_finished"
    numbers = [event["sequence"] for event in everything["events"]]
    assert numbers == sorted(set(numbers))
    rest = await api.json("GET", f"{path}?after={numbers[2]}")
    assert rest["events"] == everything["events"][3:]
    assert (await api.json("GET", f"{path}?after={numbers[-1]}&wait=30"))["events"] == []
    for query in ("after=x", "after=-1", "wait=999", "more=1"):
        await api.json("GET", f"{path}?{query}", 400)


async def stream(api, path, **headers):
    events = []
    async with api.get(path, headers={"Accept": "text/event-stream", **headers}) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        async for line in response.content:
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
    return events


async def test_a_stream_tells_all_and_ends_with_the_job(api):
    await api.json("POST", "/api/v1/queue/pause")
    job = await submit(api, one("Wait", steps=30))
    path = f"/api/v1/jobs/{job['id']}/events"
    listening = len(api.app[SERVER].jobs.listeners)
    streaming = asyncio.create_task(stream(api, path))
    async with asyncio.timeout(60):
        while len(api.app[SERVER].jobs.listeners) == listening:
            await asyncio.sleep(0.01)
    await api.json("POST", "/api/v1/queue/resume")
    live = await streaming
    kinds = [event["type"] for event in live]
    assert kinds[0] == "job_started" and kinds[-1] == "job_finished" and "node_progress" in kinds
    picture = next(event for event in live if event["type"] == "preview")
    assert base64.b64decode(picture["data"]) == b"\xff\xd8 a picture"
    later = await stream(api, path)
    assert [event for event in live if event["type"] not in ("node_progress", "preview")] == later
    known = later[1]["sequence"]
    assert await stream(api, path, **{"Last-Event-ID": str(known)}) == later[2:]
    assert await stream(api, f"{path}?after={known}") == later[2:]


async def test_a_running_job_tells_how_far_it_is_and_can_be_cancelled(api):
    job = await submit(api, one("Wait"))
    await api.until_running(job["id"])
    now = await api.json("GET", f"/api/v1/jobs/{job['id']}")
    assert now["state"] == "running" and now["progress"]["total"] == 2 and "node" in now["progress"]["nodes"]
    await api.json("DELETE", f"/api/v1/jobs/{job['id']}", 409)
    await api.json("POST", f"/api/v1/jobs/{job['id']}/cancel")
    assert (await over(api, job["id"]))["state"] == "cancelled"
    await api.json("POST", f"/api/v1/jobs/{job['id']}/cancel", 409)
    await api.json("POST", f"/api/v1/jobs/{job['id']}/release", 409)
    await api.json("DELETE", f"/api/v1/jobs/{job['id']}", 204)
    assert (await api.json("GET", f"/api/v1/jobs/{job['id']}", 404))["error"]["code"] == "missing_job"


async def test_a_failure_names_its_node(api):
    job = await over(api, (await submit(api, one("Fail", text="boom")))["id"])
    (failure,) = job["failures"]
    assert job["state"] == "failed" and failure["node_id"] == "node" and "boom" in failure["error"]["message"]
    assert "boom" in job["reason"]


async def test_jobs_are_listed_newest_first_in_pages(api):
    ids = [(await over(api, (await submit(api, chain(1, start)))["id"]))["id"] for start in range(3)]
    page = await api.json("GET", "/api/v1/jobs?limit=2")
    assert [job["id"] for job in page["jobs"]] == ids[:0:-1]
    rest = await api.json("GET", f"/api/v1/jobs?limit=2&before={page['next']}&state=succeeded")
    assert rest["jobs"][0]["id"] == ids[0]
    await api.json("GET", "/api/v1/jobs?state=happy", 400)


async def test_the_brief_catalogue_and_the_helps_say_what_the_whole_one_says(api):
    whole = await api.json("GET", "/api/v1/nodes")
    brief = await api.json("GET", "/api/v1/nodes?part=brief")
    helps = await api.json("GET", "/api/v1/nodes?part=help")
    assert len(json.dumps(brief)) < len(json.dumps(whole)) / 3
    assert brief["files"] == whole["files"] and list(brief["nodes"]) == list(whole["nodes"]) == list(helps["nodes"])
    for id, info in whole["nodes"].items():
        told, said = brief["nodes"][id], helps["nodes"][id]
        assert (told.get("display_name", id), told["category"]) == (info["display_name"], info["category"])
        outputs = [{"help": "", "series": False, **brief["outputs"][place]} for place in told.get("outputs", ())]
        assert outputs == [{**output, "help": ""} for output in info["outputs"]]
        for place, large in zip(told.get("inputs", ()), info["inputs"], strict=True):
            small = brief["inputs"][place]
            read = {"has_default": "default" in small, **small, "help": large["help"], "pattern": large["pattern"]}
            assert InputInfo.model_validate(read) == InputInfo.model_validate(large)
            assert said["inputs"].get(large["name"], "") == large["help"]
        assert said["help"] == info["help"] and "help" not in told
        assert told.get("version", "1.0.0") == info["version"]
    await api.json("GET", "/api/v1/nodes?part=some", 400)


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/api/v1/nodes?part=brief", "/api/v1/nodes?part=help", "/object_info"])
async def test_an_unchanged_catalogue_is_not_sent_again(api, path):
    first = await api.get(path)
    again = await api.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status, again.status, await again.read()) == (200, 304, b"")


async def test_a_text_about_the_catalogue_is_made_once_for_all_who_ask():
    made = []

    def make(catalogue):
        made.append(catalogue)
        return str(len(made)).encode()

    texts, catalogue, other = CatalogueTexts(), Catalogue(), Catalogue(files={"loras": ("a.safetensors",)})
    assert {*await asyncio.gather(*(texts.of(catalogue, make) for _ in range(5)))} == {await texts.of(catalogue, make)}
    assert made == [catalogue]
    assert (await texts.of(other, make))[0] == b"2" and len(made) == 2


async def test_nodes_and_version(api):
    nodes = (await api.json("GET", "/api/v1/nodes"))["nodes"]
    assert {"Add", "Show"} <= set(nodes) and "ComfyAdd" not in nodes
    assert (await api.json("GET", "/api/v1/nodes/ComfyAdd"))["id"] == "Add"
    assert (await api.json("GET", "/api/v1/nodes/Nonesuch", 404))["error"]["code"] == "missing_node"
    version = await api.json("GET", "/api/v1/version")
    assert version["easel"] and version["worker"] == "ready" and version["device"]["name"] == "cpu"


async def test_files_of_input_can_be_stored_and_listed(api):
    assert (await api.json("PUT", "/api/v1/files/input/sub/x.txt", 201, data=b"one"))["subfolder"] == "sub"
    assert (await api.json("PUT", "/api/v1/files/input/sub/x.txt", 201, data=b"two"))["filename"] == "x (1).txt"
    assert (await api.json("PUT", "/api/v1/files/input/sub/x.txt?overwrite=true", 201, data=b"three"))["filename"] == "x.txt"
    async with api.get("/api/v1/files/input/sub/x.txt") as response:
        assert await response.read() == b"three"
    assert "sub/x.txt" in [file["name"] for file in (await api.json("GET", "/api/v1/files/input"))["files"]]
    await api.json("PUT", "/api/v1/files/output/x.txt", 403, data=b"x")
    await api.json("GET", "/api/v1/files/state", 404)
    await api.json("GET", "/api/v1/files/state/jobs.db", 404)
    for name in ("..%2fstate%2fjobs.db", "%2e%2e/state/jobs.db", "a%00b", "%2fetc%2fpasswd"):
        async with api.put(f"/api/v1/files/input/{name}", data=b"x") as response:
            assert response.status in (400, 403, 404), name


async def test_the_description_knows_every_route_and_the_docs_page_shows_it(api):
    described = await api.json("GET", "/openapi.json")
    assert described["openapi"].startswith("3.1")
    operations = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    served = set()
    for route in api.server.app.router.routes():
        path = route.resource.canonical.replace(":.+", "")
        if path.startswith("/api/v1/") and route.method != "HEAD" and path not in ("/api/v1/docs", "/api/v1/openapi.json"):
            served.add((route.method, path))
    assert served == operations and len(served) > 40
    references = json.dumps(described)
    for name in {part.split('"')[0] for part in references.split("#/components/schemas/")[1:]}:
        assert name in described["components"]["schemas"], name
    assert all(len(op["summary"]) > 10 for methods in described["paths"].values() for op in methods.values())
    async with api.get("/api/v1/docs") as response:
        page = await response.text()
    assert response.content_type == "text/html" and all(path in page for _, path in operations)


async def test_a_record_tells_how_much_memory_a_node_took(api):
    def memory(job):
        return {record["node_id"]: record["memory"] for record in job["nodes"]}

    small, large = [(await over(api, (await submit(api, one("Fill", megabytes=size)))["id"]))["id"] for size in (1, 300)]
    first, second = [memory(await api.json("GET", f"/api/v1/jobs/{job_id}/nodes")) for job_id in (small, large)]
    assert first["show"] is None and 250 << 20 < second["node"] - first["node"] < 350 << 20


async def test_the_end_of_a_job_is_told_when_its_result_can_be_read(api, monkeypatch):
    """A client that follows the events asks for the result at the last one. However slow the disk is, it is there then."""
    store = api.app[SERVER].jobs.store
    finish, before, after = store.finish, asyncio.Event(), asyncio.Event()

    async def slow(*given):
        await before.wait()
        job = await finish(*given)
        await after.wait()
        return job

    monkeypatch.setattr(store, "finish", slow)
    job_id = (await submit(api, easel(one("Fail", text="it ends at once"))))["id"]

    async def kinds():
        return [event["type"] for event in (await api.json("GET", f"/api/v1/jobs/{job_id}/events"))["events"]]

    async with asyncio.timeout(60):
        while "node_failed" not in await kinds():
            await asyncio.sleep(0.01)
    assert "job_finished" not in await kinds()
    assert (await api.json("GET", f"/api/v1/jobs/{job_id}"))["state"] == "running"
    before.set()
    job = await over(api, job_id)
    assert job["state"] == "failed" and "it ends at once" in job["failures"][0]["error"]["message"]
    assert "job_finished" in await kinds()
    after.set()
    records = (await api.json("GET", f"/api/v1/jobs/{job_id}/nodes"))["nodes"]
    assert {record["node_id"] for record in records} == {"node", "show"}

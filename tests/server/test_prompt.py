"""ComfyUI's routes, as its clients use them."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.server.serving import chain, one

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_prompt_runs_and_history_shows_what_comfyui_shows(api):
    queued = await api.queue(chain(3), client_id="me", extra_data={"extra_pnginfo": {"workflow": {"x": 1}}})
    assert queued["node_errors"] == {} and isinstance(queued["number"], int)
    entry = await api.entry(queued["prompt_id"])
    number, prompt_id, prompt, extra, outputs = entry["prompt"]
    assert (number, prompt_id, prompt, outputs) == (queued["number"], queued["prompt_id"], chain(3), ["show"])
    assert extra == {"extra_pnginfo": {"workflow": {"x": 1}}, "client_id": "me"}
    assert entry["outputs"] == {"show": {"text": ["3"]}}
    assert entry["status"]["status_str"] == "success" and entry["status"]["completed"] is True
    names = [name for name, _ in entry["status"]["messages"]]
    assert names == ["execution_start", "execution_cached", "execution_success"]
    assert all(isinstance(data["timestamp"], int) for _, data in entry["status"]["messages"])
    assert entry["meta"] == {"show": {"node_id": "show", "display_node": "show", "parent_node": None, "real_node_id": "show"}}


async def test_a_repeat_is_cached_and_has_the_same_outputs(api):
    await api.run(chain(4))
    entry = await api.run(chain(4))
    cached = dict(entry["status"]["messages"])["execution_cached"]["nodes"]
    assert sorted(cached) == ["0", "1", "2", "3", "show"]
    assert entry["outputs"] == {"show": {"text": ["4"]}}


async def test_values_are_cast_as_comfyui_casts_and_history_shows_the_cast_ones(api):
    graph = chain(1)
    graph["0"]["inputs"] = {"a": "7", "b": 2.9}
    graph["0"]["_meta"] = {"title": "mine"}
    entry = await api.run(graph)
    assert entry["prompt"][2]["0"] == {"class_type": "Add", "inputs": {"a": 7, "b": 2}, "_meta": {"title": "mine"}}
    assert entry["outputs"]["show"]["text"] == ["9"]


async def test_an_alias_keeps_its_own_names(api):
    graph = chain(1)
    graph["0"] = {"class_type": "ComfyAdd", "inputs": {"left": 20, "right": 3}}
    entry = await api.run(graph)
    assert entry["outputs"]["show"]["text"] == ["23"]
    assert entry["prompt"][2]["0"] == graph["0"]


async def test_valid_outputs_run_beside_invalid_ones(api):
    graph = chain(1)
    graph["bad"] = {"class_type": "Show", "inputs": {"values0": ["gone", 0]}}
    queued = await api.queue(graph)
    assert set(queued["node_errors"]) == {"bad"}
    assert (await api.entry(queued["prompt_id"]))["outputs"] == {"show": {"text": ["1"]}}


async def test_errors_have_comfyuis_shape(api):
    graph = chain(1)
    graph["0"]["inputs"] = {"b": 1}
    refused = await api.queue(graph, 400)
    assert refused["error"]["type"] == "prompt_outputs_failed_validation"
    assert set(refused["error"]) == {"type", "message", "details", "extra_info"}
    assert refused["node_errors"] == {
        "0": {
            "errors": [
                {
                    "type": "required_input_missing",
                    "message": "Required input is missing",
                    "details": "a",
                    "extra_info": {"input_name": "a"},
                }
            ],
            "dependent_outputs": ["show"],
            "class_type": "Add",
        }
    }


@pytest.mark.parametrize(
    ("inputs", "kind", "details"),
    [
        ({"a": "x"}, "invalid_input_type", "a, x, "),
        ({"a": ["0", 0, 0]}, "bad_linked_input", "a"),
        ({"a": ["text", 0]}, "return_type_mismatch", "a, received_type(STRING) mismatch input_type(INT)"),
    ],
)
async def test_each_error_names_its_input(api, inputs, kind, details):
    graph = chain(1)
    graph["0"]["inputs"] = {**inputs, "b": 1}
    graph["text"] = {"class_type": "Words", "inputs": {}}
    refused = await api.queue(graph, 400)
    (error,) = refused["node_errors"]["0"]["errors"]
    assert error["type"] == kind and error["details"].startswith(details)
    assert error["extra_info"]["input_name"] == "a"
    assert error["extra_info"]["input_config"] == ["INT", {}]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{", "invalid_prompt"),
        ("", "invalid_prompt"),
        ("[]", "invalid_prompt"),
        ("{}", "no_prompt"),
        ('{"prompt": []}', "invalid_prompt"),
        ('{"prompt": {}}', "prompt_no_outputs"),
        ('{"prompt": {"1": {"inputs": {}}}}', "invalid_prompt"),
        ('{"prompt": {"1": {"class_type": "Nonesuch", "inputs": {}}}}', "invalid_prompt"),
        ('{"prompt": {"1": {"class_type": "Add", "inputs": {"a": 1}}}}', "prompt_no_outputs"),
        ('{"prompt": {"1": 5}}', "invalid_prompt"),
        ('{"prompt": {}, "extra_data": 5}', "prompt_no_outputs"),
    ],
)
async def test_bad_bodies_are_400_and_leave_nothing_behind(api, body, kind):
    answer = await api.json("POST", "/prompt", 400, data=body)
    assert answer["error"]["type"] == kind
    assert answer["node_errors"] == {}
    assert await api.json("GET", "/queue") == {"queue_running": [], "queue_pending": []}


async def test_partial_execution_targets_choose_outputs(api):
    graph = {**chain(1), "other": {"class_type": "Show", "inputs": {"values0": ["0", 0]}}}
    entry = await api.run(graph, partial_execution_targets=["other"])
    assert entry["outputs"] == {"other": {"text": ["1"]}}
    refused = await api.queue(graph, 400, partial_execution_targets=[])
    assert refused["error"]["type"] == "prompt_no_outputs"


async def test_a_client_may_choose_the_id_and_ask_again(api):
    first = await api.queue(chain(2), prompt_id="mine")
    assert first["prompt_id"] == "mine"
    assert await api.queue(chain(2), prompt_id="mine") == first
    conflict = await api.queue(chain(3), 409, prompt_id="mine")
    assert conflict["error"]["type"] == "conflict" and conflict["node_errors"] == {}
    await api.entry("mine")
    assert await api.queue(chain(2), prompt_id="mine") == first
    assert list(await api.json("GET", "/history")) == ["mine"]


async def test_the_queue_is_ordered_listed_and_changed(api):
    running = (await api.queue(one("Wait")))["prompt_id"]
    await api.until_running(running)
    ids = {}
    for name, options in {"a": {}, "b": {}, "front": {"front": True}, "first": {"number": -1e6}}.items():
        ids[name] = (await api.queue(chain(2), **options))["prompt_id"]
    queue = await api.json("GET", "/queue")
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == [ids[name] for name in ("first", "front", "a", "b")]
    assert all(len(item) == 5 for item in queue["queue_pending"])
    assert (await api.json("GET", "/prompt"))["exec_info"]["queue_remaining"] == 5
    assert await api.json("POST", "/queue", data=json.dumps({"delete": [ids["a"], "unknown"]})) is None
    assert await api.json("POST", "/interrupt", data=json.dumps({"prompt_id": ids["b"]})) is None
    assert [item[1] for item in (await api.json("GET", "/queue"))["queue_running"]] == [running]
    await api.json("POST", "/queue", data='{"clear": true}')
    assert (await api.json("GET", "/queue"))["queue_pending"] == []
    await api.json("POST", "/interrupt")
    entry = await api.entry(running)
    assert entry["status"]["status_str"] == "error"
    kind, data = entry["status"]["messages"][-1]
    assert (kind, data["node_id"], data["node_type"]) == ("execution_interrupted", "node", "Wait")
    assert await api.json("GET", f"/history/{ids['a']}") == {}


async def test_cancel_is_answered_at_once_also_when_the_node_is_deaf(api):
    job = (await api.queue(one("Sleep")))["prompt_id"]
    following = (await api.queue(chain(2)))["prompt_id"]
    await api.until_running(job)
    async with asyncio.timeout(30):  # the node sleeps for a minute
        await api.json("POST", "/interrupt")
    assert (await api.entry(following))["status"]["status_str"] == "success"
    assert (await api.entry(job))["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_failed_node_names_itself_and_other_branches_finish(api):
    graph = {**chain(2), **{f"f{name}": node for name, node in one("Fail", text="no way").items()}}
    graph["fshow"]["inputs"] = {"values0": ["fnode", 0]}
    entry = await api.run(graph)
    assert entry["status"]["status_str"] == "error" and entry["status"]["completed"] is False
    assert entry["outputs"] == {"show": {"text": ["2"]}}
    name, error = entry["status"]["messages"][-1]
    assert name == "execution_error"
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("fnode", "Fail", "ValueError")
    assert "no way" in error["exception_message"]
    assert error["traceback"] and error["current_inputs"]["text"] == ["'no way'"]
    assert set(error["executed"]) >= {"0", "1", "show"}


async def test_history_can_be_paged_and_cleared(api):
    ids = [(await api.queue(chain(1, start)))["prompt_id"] for start in range(4)]
    for job in ids:
        await api.entry(job)
    assert list(await api.json("GET", "/history")) == ids
    assert list(await api.json("GET", "/history?max_items=2")) == ids[2:]
    assert list(await api.json("GET", "/history?max_items=2&offset=1")) == ids[1:3]
    assert list(await api.json("GET", "/history?max_items=2&offset=-1")) == ids[2:]
    await api.json("GET", "/history?max_items=x", 400)
    await api.json("POST", "/history", data=json.dumps({"delete": ids[:1]}))
    assert list(await api.json("GET", "/history")) == ids[1:]
    await api.json("POST", "/history", data='{"clear": true}')
    assert await api.json("GET", "/history") == {}


async def test_secrets_are_never_kept(api):
    entry = await api.run(chain(1), extra_data={"api_key_comfy_org": "secret", "auth_token_comfy_org": "secret", "kept": 1})
    assert entry["prompt"][3] == {"kept": 1}
    assert b"secret" not in (api.settings.data / "state" / "jobs.db").read_bytes()


async def test_everything_is_also_below_api_and_any_content_type_is_read(api):
    body = json.dumps({"prompt": chain(1)})
    async with api.post("/api/prompt", data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}) as response:
        job = (await response.json())["prompt_id"]
    await api.entry(job)
    assert job in await api.json("GET", "/api/history")
    assert await api.json("GET", "/api/object_info") == await api.json("GET", "/object_info")
    for path in ("/object_info", "/api/queue", "/api/v1/jobs", "/"):
        async with api.head(path) as response:
            assert response.status == 200 and await response.read() == b"", path


async def test_object_info_lists_comfyuis_ids_where_there_are_some(api):
    info = await api.json("GET", "/object_info")
    assert {"ComfyAdd", "Show", "Wait"} <= set(info) and "Add" not in info
    added = info["ComfyAdd"]
    assert added["input"] == {"required": {"left": ["INT", {}], "right": ["INT", {"default": 0}]}}
    assert added["input_order"] == {"required": ["left", "right"]}
    assert added["output"] == ["INT"] and added["output_is_list"] == [False] and added["name"] == "ComfyAdd"
    assert (await api.json("GET", "/object_info/Add"))["Add"]["input_order"] == {"required": ["a", "b"]}
    assert await api.json("GET", "/object_info/Nonesuch") == {}


async def test_free_is_taken_and_kept_results_are_let_go(api):
    await api.run(chain(2))
    assert await api.json("POST", "/free", data='{"unload_models": true, "free_memory": true}') is None
    assert (await api.run(chain(2)))["outputs"] == {"show": {"text": ["2"]}}


async def test_system_stats_features_and_what_an_editor_asks_at_its_start(api):
    await api.run(chain(1))
    stats = await api.json("GET", "/system_stats")
    assert stats["system"]["argv"] == [] and stats["system"]["pytorch_version"]
    assert {"name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free"} <= set(stats["devices"][0])
    assert (await api.json("GET", "/features"))["max_upload_size"] == 100 * 2**20
    for path, expected in {"/extensions": [], "/i18n": {}, "/settings": {}, "/embeddings": []}.items():
        assert await api.json("GET", path) == expected
    assert (await api.json("GET", "/users"))["storage"] == "server"
    assert "checkpoints" in await api.json("GET", "/models")
    await api.json("GET", "/models/nonesuch", 404)
    async with api.get("/nonesuch") as response:
        assert response.status == 404


async def test_userdata_is_kept_listed_moved_and_stays_in_its_folder(api):
    name = "workflows%2Fa.json"
    assert await api.json("POST", f"/userdata/{name}", data=b'{"x": 1}') == "workflows/a.json"
    await api.json("POST", f"/userdata/{name}?overwrite=false", 409, data=b"{}")
    assert await api.json("GET", f"/userdata/{name}") == {"x": 1}
    assert await api.json("GET", "/userdata?dir=workflows&recurse=true") == ["a.json"]
    assert await api.json("GET", "/userdata?dir=workflows&split=true") == [["a.json", "a.json"]]
    (info,) = await api.json("GET", "/userdata?dir=workflows&full_info=true")
    assert info["path"] == "a.json" and info["size"] == 8
    assert [entry["path"] for entry in await api.json("GET", "/v2/userdata")] == ["workflows", "workflows/a.json"]
    assert await api.json("POST", f"/userdata/{name}/move/workflows%2Fb.json") == "workflows/b.json"
    async with api.delete("/userdata/workflows%2Fb.json") as response:
        assert response.status == 204
    await api.json("GET", "/userdata?dir=nothing", 404)
    await api.json("GET", "/userdata", 400)
    await api.json("POST", "/settings", data='{"a": 1}')
    await api.json("POST", "/settings/b", data='"two"')
    assert await api.json("GET", "/settings") == {"a": 1, "b": "two"}
    assert await api.json("GET", "/settings/none") is None

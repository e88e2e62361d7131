"""Requests that try to break the server: it answers 4xx, stays up, queues nothing and writes nothing."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from engine.graph import strict_json
from engine.server import submission
from tests.server.serving import chain, make_data, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with serving(make_data(tmp_path_factory.mktemp("attacks") / "data")) as api:
        yield api
        assert (await api.run(chain(2)))["outputs"] == {"show": {"text": ["2"]}}  # still well after all of it


def show(value) -> dict:
    return {"0": {"class_type": "Add", "inputs": {"a": value, "b": 1}}, "show": {"class_type": "Show", "inputs": {"values0": ["0", 0]}}}


PROMPTS = {
    "deep list": '{"prompt": {"0": {"class_type": "Add", "inputs": {"a": ' + "[" * 5_000 + "]" * 5_000 + "}}}}",
    "deep object": '{"prompt": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
    "not a number": json.dumps({"prompt": show(float("nan"))}),
    "infinity": json.dumps({"prompt": show(float("inf"))}),
    "number too large": '{"prompt": {"0": {"class_type": "Add", "inputs": {"a": 1' + "0" * 5_000 + "}}}}",
    "float too large": '{"prompt": {"0": {"class_type": "Add", "inputs": {"a": 1e999}}}}',
    "a key twice": '{"prompt": {"0": {"class_type": "Add"}, "0": {"class_type": "Show"}}}',
    "half a character": '{"prompt": {"\\ud800": {"class_type": "Show", "inputs": {}}}}',
    "not utf-8": b'{"prompt": {"\xff": 1}}',
    "null bytes": "\x00" * 100,
    "link to nothing": json.dumps({"prompt": show(["gone", 0])}),
    "negative slot": json.dumps({"prompt": show(["0", -1])}),
    "slot of another type": json.dumps({"prompt": show(["show", True])}),
    "cycle": json.dumps({"prompt": show(["0", 0])}),
    "class that is a list": '{"prompt": {"0": {"class_type": ["Add"], "inputs": {}}}}',
    "inputs that are a list": '{"prompt": {"0": {"class_type": "Add", "inputs": []}}}',
    "number that is a list": json.dumps({"prompt": chain(1), "number": [1]}),
    "number that is nan": '{"prompt": {}, "number": NaN}',
    "id too long": json.dumps({"prompt": chain(1), "prompt_id": "x" * 1_000}),
    "id with a line break": json.dumps({"prompt": chain(1), "prompt_id": "a\nb"}),
    "id that is an object": json.dumps({"prompt": chain(1), "prompt_id": {}}),
    "extra that is a list": json.dumps({"prompt": chain(1), "extra_data": []}),
    "targets that are a text": json.dumps({"prompt": chain(1), "partial_execution_targets": "show"}),
    "dunder ids": '{"prompt": {"__proto__": {"class_type": "__class__", "inputs": {"__init__": 1}}}}',
}


@pytest.mark.parametrize("name", PROMPTS)
async def test_a_hostile_prompt_is_refused(api, name):
    for path in ("/prompt", "/api/v1/jobs"):
        body = PROMPTS[name]
        if path.endswith("jobs"):
            body = body.replace(b'"prompt"', b'"workflow"') if isinstance(body, bytes) else body.replace('"prompt"', '"workflow"')
        async with api.post(path, data=body) as response:
            answer = json.loads(await response.text())
            assert 400 <= response.status < 500, (path, answer)
            assert answer["error"]["message"]
    assert await api.json("GET", "/queue") == {"queue_running": [], "queue_pending": []}


async def test_a_chain_of_any_length_is_walked_without_recursion(api):
    graph = chain(30_000)
    graph["0"]["inputs"] = {"a": "wrong"}
    refused = await api.queue(graph, 400)
    assert set(refused["node_errors"]) == {"0"}


async def test_texts_come_back_as_json_never_as_a_page(api):
    script = "<script>alert(1)</script>"
    graph = {"0": {"class_type": script, "inputs": {}}}
    for path, body in (("/prompt", {"prompt": graph}), ("/api/v1/jobs", {"workflow": graph})):
        async with api.post(path, data=json.dumps(body)) as response:
            assert response.content_type == "application/json" and response.status == 400
    for path in (f"/{script}", f"/view?filename={script}", f"/api/v1/nodes/{script}", f"/object_info/{script}", f"/history/{script}"):
        async with api.get(path) as response:
            assert response.content_type in ("application/json", "text/plain"), path


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


async def test_a_picture_bomb_is_not_decoded(api):
    form = aiohttp.FormData()
    form.add_field("image", bomb(60_000, 60_000), filename="bomb.png")
    await api.json("POST", "/upload/image", data=form)
    for query in ("preview=webp", "channel=rgb", "channel=a"):
        async with api.get(f"/view?filename=bomb.png&type=input&{query}") as response:
            assert response.status in (413, 422)


DRAFT = "/api/v1/drafts/00000000-0000-4000-8000-000000000000"
NO_DRAFTS = {
    "no workflow": ("", "[1]", 400),
    "nodes as a list": ("", '{"nodes": []}', 400),
    "no JSON": ("", "{", 400),
    "no UTF-8": ("", b'{"nodes": {"\xff": 1}}', 400),
    "deep": ("", '{"nodes": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}", 413),
    "large": ("", '{"nodes": {}}' + " " * 10_000_000, 413),
    "long title": ("?title=" + "x" * 201, '{"nodes": {}}', 400),
    "huge revision": (f"?opened={10**30}", '{"nodes": {}}', 400),
    "more than a head": ("?path=/etc/passwd", '{"nodes": {}}', 400),
}


@pytest.mark.parametrize("name", NO_DRAFTS)
async def test_what_is_no_draft_is_not_kept(api, name):
    query, body, status = NO_DRAFTS[name]
    answer = await api.json("PUT", DRAFT + query, status, data=body)
    assert answer["error"]["message"]
    assert (await api.json("GET", "/api/v1/drafts"))["drafts"] == []


async def test_a_draft_lies_in_its_folder_and_what_else_lies_there_is_not_told(api):
    for id in ("..%2f..%2fjobs.db", "..", "jobs.db", "%00", "A" * 36, DRAFT.rpartition("/")[2] + ".json", "x" * 5_000):
        for method in ("GET", "PUT", "DELETE"):
            async with api.request(method, f"/api/v1/drafts/{id}", data='{"nodes": {}}') as response:
                assert 400 <= response.status < 500
    folder = api.settings.data / "state" / "drafts"
    folder.mkdir(parents=True)
    (folder / "11111111-0000-4000-8000-000000000000").symlink_to(api.settings.data / "state" / "jobs.db")
    (folder / "22222222-0000-4000-8000-000000000000").write_bytes(b"\x00" * 100_000)
    (folder / "notes.txt").write_text("of a person")
    assert (await api.json("GET", "/api/v1/drafts"))["drafts"] == []
    await api.json("GET", "/api/v1/drafts/11111111-0000-4000-8000-000000000000", 400)
    lines = {"title": "two\nlines", "name": '{"title": "other"}\n'}
    await api.json("PUT", f"{DRAFT}?{urlencode(lines)}", 201, data='{"nodes": {}}')
    [draft] = (await api.json("GET", "/api/v1/drafts"))["drafts"]
    assert draft.items() >= lines.items()


async def test_a_form_with_endless_fields_ends(api):
    form = aiohttp.FormData()
    for number in range(300):
        form.add_field(f"field{number}", "x" * 20_000)
    async with api.post("/upload/image", data=form) as response:
        assert response.status == 400


async def test_a_form_of_many_small_fields_is_refused_before_it_is_kept(api):
    form = aiohttp.FormData()
    for number in range(2_000):
        form.add_field(f"field{number}", "x")
    form.add_field("image", b"x", filename="late.png")
    await api.json("POST", "/upload/image", 400, data=form)


async def test_a_key_twice_among_many_is_found_at_once(api):
    keys = ",".join(f'"{number}":0' for number in [*range(300_000), 299_999])
    async with asyncio.timeout(60):  # comparing each with each takes hours
        await api.json("POST", "/api/v1/jobs", 400, data="{" + keys + "}")


@pytest.mark.parametrize(
    "path",
    [
        f"/history?max_items={10**30}",
        f"/history?offset={10**30}",
        f"/history?max_items={2**63}",
        f"/api/v1/jobs?before={10**30}",
        f"/api/v1/jobs/none/events?after={10**30}",
    ],
)
async def test_numbers_that_no_database_holds_are_refused(api, path):
    await api.json("GET", path, 400)


async def test_a_program_in_a_picture_is_not_run(api):
    """Pillow gives EPS to Ghostscript; ICO says one size and holds another."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print showpage\n%%EOF\n"
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(bomb(12_000, 12_000)), 22) + bomb(12_000, 12_000)
    for name, content in (("program.png", eps), ("icon.png", icon)):
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name)
        await api.json("POST", "/upload/image", data=form)
        answer = await api.json("GET", f"/view?filename={name}&type=input&preview=webp", 422)
        assert "no picture of a format" in answer["error"]["message"]


async def test_a_picture_too_long_for_the_wanted_format_is_refused(api):
    image = io.BytesIO()
    Image.new("L", (20_000, 1)).save(image, "PNG")
    form = aiohttp.FormData()
    form.add_field("image", image.getvalue(), filename="long.png")
    await api.json("POST", "/upload/image", data=form)
    await api.json("GET", "/view?filename=long.png&type=input&preview=webp", 422)


async def test_names_of_folders_and_files_may_not_cross(api):
    for name in ("cross", "below/cross"):
        await api.json("PUT", f"/api/v1/files/input/{name}", 201, data=b"x")
    for name in ("cross/a.png", "cross/a/b.png", "below", "below?overwrite=true"):
        await api.json("PUT", f"/api/v1/files/input/{name}", 409, data=b"y")
    assert [path.name for path in (api.settings.data / "input" / "below").iterdir()] == ["cross"]
    assert (await api.json("POST", "/userdata/cross", data=b"x")) == "cross"
    await api.json("POST", "/userdata/cross%2Fa", 409, data=b"x")
    await api.json("POST", "/userdata/cross/move/cross%2Fa", 409)
    await api.json("PUT", "/api/v1/workflows/sub.json/a.json", 201, data=json.dumps(chain(1)))
    await api.json("PUT", "/api/v1/workflows/sub.json", 409, data=json.dumps(chain(1)))


async def test_a_longest_name_that_is_taken_gets_a_shorter_one(api):
    name = "x" * 251 + ".bin"
    assert (await api.json("PUT", f"/api/v1/files/input/{name}", 201, data=b"1"))["filename"] == name
    second = (await api.json("PUT", f"/api/v1/files/input/{name}", 201, data=b"2"))["filename"]
    assert second == "x" * 247 + " (1).bin"


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a": NaN}', '{"a": ' + "[" * 900 + "]" * 900 + "}", "\x00"], ids=lambda text: text[:10]
)
async def test_settings_written_as_user_data_harm_nobody(api, content):
    await api.json("POST", "/userdata/comfy.settings.json", data=content)
    assert await api.json("GET", "/settings") == {}
    async with api.post("/settings/a", data="1") as response:
        assert response.status == 200
    assert await api.json("GET", "/settings") == {"a": 1}


@pytest.mark.parametrize("header", [b'{"__metadata__": {"a": NaN}}', b"[" * 100_000], ids=["nan", "deep"])
async def test_metadata_that_is_no_json_is_not_there(api, header):
    folder = api.settings.data / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bad.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    async with api.get("/view_metadata/loras?filename=bad.safetensors") as response:
        assert response.status == 404


async def test_long_headers_and_targets_are_refused(api):
    async with api.get("/livez", headers={"X-Long": "x" * 100_000}) as response:
        assert response.status in (400, 431)
    async with api.get("/view?filename=" + "x" * 60_000) as response:
        assert response.status in (400, 414)
    async with api.get("/view?filename=" + "x" * 10_000) as response:
        assert response.status in (400, 404)


@pytest.mark.parametrize(
    "path", ["/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/web/../../server.py", "/editor/main.js/..", "//etc/passwd"]
)
async def test_the_pages_are_the_files_of_the_web_folder_and_nothing_else(api, path):
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] in (b"404", b"400", b"403"), answer[:100]


async def test_many_sockets_and_large_messages_do_no_harm(api):
    sockets = [await api.ws_connect(f"/ws?clientId={number % 20}") for number in range(80)]
    for socket in sockets:
        await socket.send_str("x" * 1_000)
        await socket.send_bytes(b"x" * 1_000)
    too_large = await api.ws_connect("/ws?clientId=large")
    await too_large.receive()
    with suppress(ConnectionError):  # it may be cut off before all of it is sent
        await too_large.send_str("x" * (5 * 2**20))
    closing = await too_large.receive()
    assert closing.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    for socket in sockets:
        await socket.close()


async def test_no_answer_tells_where_things_lie_on_this_machine(api):
    home = str(api.settings.data)
    root = str(Path(__file__).parents[2])
    paths = ["/system_stats", "/features", "/experiment/models", "/api/v1/version", "/api/v1/workflows", "/view?filename=gone.png"]
    paths += ["/api/v1/files/input/none", "/models", "/users", "/nonesuch", "/api/v1/jobs/none", "/view_metadata/loras?filename=x"]
    for path in paths:
        async with api.get(path) as response:
            text = await response.text()
            assert home not in text and root not in text, path


READ, VALIDATED = (strict_json, "check_json"), (submission, "validate")


@pytest.mark.parametrize(
    ("path", "work"),
    [
        *((path, READ) for path in ("/api/v1/jobs", "/api/v1/workflows/large.json", "/api/v1/import", "/prompt")),
        *((path, VALIDATED) for path in ("/api/v1/jobs", "/prompt")),
    ],
)
async def test_a_large_body_keeps_nobody_waiting(api, path, work, monkeypatch):
    """Whichever route it comes to, and also in chunks without a length: others are answered while it is read and validated."""
    at_work, answered = threading.Event(), threading.Event()
    done = getattr(*work)

    def waits(*arguments, **more):
        at_work.set()
        assert answered.wait(60), "the event loop itself does it"
        return done(*arguments, **more)

    monkeypatch.setattr(*work, waits)
    nodes = {str(number): {"class_type": "Add", "inputs": {"a": number, "b": 1}} for number in range(5_000)}
    document = {"format": "easel/1", "nodes": nodes}
    body = json.dumps({"/api/v1/jobs": {"workflow": document}, "/prompt": {"prompt": nodes}}.get(path, document)).encode()

    async def chunks():
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    sent = asyncio.create_task(api.request("PUT" if "workflows" in path else "POST", path, data=chunks()).__aenter__())
    assert await asyncio.to_thread(at_work.wait, 60)
    await api.json("GET", "/livez")
    answered.set()
    response = await sent
    assert response.status < 500, await response.text()
    response.release()


async def test_a_text_that_would_keep_the_worker_busy_is_refused(api):
    refused = await api.json("POST", "/api/v1/tokens", 400, data=json.dumps({"text": "a " * 500_000}))
    assert "50000 characters" in refused["error"]["message"]


@pytest.mark.parametrize("name", ["a\u202egnp.exe", "a\u200b.png", "\ufeffa.png", "a\u2028b.png", ".hidden.png", "sub/.hidden/a.png"])
async def test_nothing_can_be_stored_that_no_list_shows(api, name):
    """Marks of direction make a name look like another one; what begins with a dot is hidden."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    path = quote(name)
    for route in (f"/api/v1/files/input/{path}", f"/api/v1/datasets/mine/pictures/{path}"):
        await api.json("PUT", route, 400, data=picture.getvalue())
    await api.json("PUT", f"/api/v1/workflows/{path}.json", 400, data='{"format": "easel/1", "nodes": {}}')
    form = aiohttp.FormData({"subfolder": name.rpartition("/")[0]}, quote_fields=False)
    form.add_field("image", picture.getvalue(), filename=name.rpartition("/")[2])
    await api.json("POST", "/upload/image", 400, data=form)


async def test_a_workflow_that_talks_much_of_itself_is_cut_short_in_lists(api):
    folder = api.settings.data / "workflows"
    folder.mkdir(exist_ok=True)
    (folder / "talks.json").write_text(json.dumps({"title": "t" * 1_000_000, "description": "d" * 1_000_000}))
    (folder / "half.json").write_text('{"title": "\\ud800", "description": [1]}')
    listed = {entry["name"]: entry for entry in (await api.json("GET", "/api/v1/workflows"))["workflows"]}
    assert len(listed["talks.json"]["title"]) == 200 and len(listed["talks.json"]["description"]) == 2_000
    assert listed["half.json"]["description"] == ""

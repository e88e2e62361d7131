"""What the editor asks the server about open work: drafts of what is not saved, and what newer nodes make of an older workflow."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
import uuid
from urllib.parse import urlencode

import pytest

from engine.server.v1 import drafts
from tests.server.serving import chain
from tests.server.test_library import bytes_of, easel, names

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_draft_is_kept_as_it_was_sent_and_listed_with_what_it_is(api):
    id, text = str(uuid.uuid4()), easel(chain(1), seed=18446744073709551615, nothing="\u00e9")
    head = {"title": "<b>Mine</b>", "name": "mine/a.json", "writable": "true", "opened": "3"}
    entry = await api.json("PUT", f"/api/v1/drafts/{id}?{urlencode(head)}", 201, data=text)
    assert entry.items() >= {"id": id, **head, "writable": True, "opened": 3, "size": len(text)}.items()
    assert (await api.json("GET", "/api/v1/drafts"))["drafts"] == [entry]
    assert (await bytes_of(api, f"/api/v1/drafts/{id}"))[0].decode() == text
    newer = text.replace("0", "1")
    await api.json("PUT", f"/api/v1/drafts/{id}", 201, data=newer)
    assert (await bytes_of(api, f"/api/v1/drafts/{id}"))[0].decode() == newer
    for _ in range(2):
        await api.json("DELETE", f"/api/v1/drafts/{id}", 204)
    assert (await api.json("GET", "/api/v1/drafts"))["drafts"] == []
    await api.json("GET", f"/api/v1/drafts/{id}", 404)


async def test_drafts_are_few_and_the_oldest_make_room(api, monkeypatch):
    monkeypatch.setattr(drafts, "MOST", 3)
    monkeypatch.setattr(drafts, "IN_ALL", 5_000)
    folder = api.settings.data / "state" / "drafts"
    ids = [str(uuid.UUID(int=number)) for number in range(6)]
    for age, id in zip(range(600, 0, -100), ids, strict=True):
        await api.json("PUT", f"/api/v1/drafts/{id}", 201, data=easel({}))
        os.utime(folder / id, (time.time() - age,) * 2)
    assert names(await api.json("GET", "/api/v1/drafts"), "drafts", "id") == ids[:2:-1]
    os.utime(folder / ids[3], (time.time() - drafts.KEPT_SECONDS - 60,) * 2)
    assert names(await api.json("GET", "/api/v1/drafts"), "drafts", "id") == ids[:3:-1]
    await api.json("PUT", f"/api/v1/drafts/{ids[0]}", 201, data=easel({}, words="x" * 4_900))
    assert names(await api.json("GET", "/api/v1/drafts"), "drafts", "id") == ids[:1]
    assert [path.name for path in folder.iterdir()] == ids[:1]
    await api.json("DELETE", f"/api/v1/drafts/{ids[0]}", 204)


async def test_what_newer_nodes_make_of_a_workflow_is_told_and_is_what_runs(api):
    nodes = {
        "old": {"class_type": "Times", "inputs": {"number": 21, "sign": "-"}},
        "show": {"class_type": "Show", "inputs": {"values0": ["old", 0]}},
    }
    text = easel(nodes, requires={"nodes": {"Times": "1.0.0", "Gone": "1.0.0"}})
    changes = [
        {"saved": "number", "name": "value", "old": 21, "new": 21},
        {"saved": "sign", "name": "sign", "old": "-", "new": "minus"},
        {"saved": None, "name": "times", "old": None, "new": 2},
    ]
    one = {"subgraph": None, "node_id": "old", "class_type": "Times", "saved": "1.0.0", "version": "2.0.0", "changes": changes}
    assert await api.json("POST", "/api/v1/upgrades", data=text) == {"upgrades": [one]}
    nodes["old"]["inputs"] = {change["name"]: change["new"] for change in changes}
    job = await api.json("POST", "/api/v1/jobs", 201, data=json.dumps({"workflow": json.loads(text)}))
    again = await api.json("POST", "/api/v1/jobs", 201, data=json.dumps({"workflow": json.loads(easel(nodes))}))
    for id in (job["id"], again["id"]):
        async with asyncio.timeout(60):
            while (found := await api.json("GET", f"/api/v1/jobs/{id}"))["state"] in ("queued", "running"):
                await asyncio.sleep(0.05)
        assert found["outputs"]["show"] == {"text": ["-42"]}
    assert await api.json("POST", "/api/v1/upgrades", data=easel(nodes)) == {"upgrades": []}
    await api.json("POST", "/api/v1/upgrades", 400, data="[")


async def test_a_model_file_is_found_by_its_content_when_somebody_has_it_read(api):
    folder = api.settings.data / "models" / "vae"
    for name, content in (("one.safetensors", b"one"), ("sub/two.safetensors", b"two")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1e9, 1e9))
    digest = f"sha256:{hashlib.sha256(b'two').hexdigest()}"
    wanted = [{"folder": "vae", "name": name} for name in ("sub/two.safetensors", "gone.safetensors", "../../state/jobs.db")]
    wanted += [{"folder": "input", "name": "a.png"}, {"folder": "nonesuch", "name": "a"}]
    asked = json.dumps({"files": wanted})
    assert names(await api.json("POST", "/api/v1/models/digests", data=asked), what="sha256") == [""] * 5

    def sought(**more):
        return json.dumps({"folder": "vae", "sha256": digest, **more})

    before = await api.json("POST", "/api/v1/models/find", data=sought())
    assert before["names"] == [] and before["left"] >= 2
    async with asyncio.timeout(60):
        while (found := await api.json("POST", "/api/v1/models/find", data=sought(read=True)))["left"]:
            await asyncio.sleep(0.05)
    assert found["names"] == ["sub/two.safetensors"]
    assert (await api.json("POST", "/api/v1/models/find", data=sought(sha256=digest[:17])))["names"] == ["sub/two.safetensors"]
    assert names(await api.json("POST", "/api/v1/models/digests", data=asked), what="sha256") == [digest, "", "", "", ""]


async def test_what_is_no_search_for_a_model_is_refused(api):
    digest = "sha256:" + "0" * 64
    for folder, sha256, status in (("vae", "sha256:00", 400), ("vae", "0" * 64, 400), ("input", digest, 404), ("../state", digest, 404)):
        await api.json("POST", "/api/v1/models/find", status, data=json.dumps({"folder": folder, "sha256": sha256}))
    many = {"files": [{"folder": "vae", "name": "x"}] * 1_001}
    await api.json("POST", "/api/v1/models/digests", 400, data=json.dumps(many))
    found = await api.json("POST", "/api/v1/models/find", data=json.dumps({"folder": "diffusers", "sha256": digest, "read": True}))
    assert found == {"names": [], "left": 0}

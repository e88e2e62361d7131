"""What the editor keeps and picks from over /api/v1: workflows, pictures, models, datasets, and files from elsewhere."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from engine.graph import Folders
from engine.settings import ROOT
from tests.server.serving import chain
from tests.server.test_files import png

pytestmark = pytest.mark.asyncio(loop_scope="module")


def easel(nodes, revision=1, **more):
    return json.dumps({"format": "easel/1", "revision": revision, "nodes": nodes, **more})


def jpeg(size=(64, 32), orientation=1) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (10, 200, 30)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


async def bytes_of(api, path: str, status: int = 200, **headers) -> tuple[bytes, Mapping[str, str]]:
    async with api.get(path, headers=headers) as response:
        assert response.status == status, await response.text()
        return await response.read(), response.headers


def names(listed, key="files", what="name"):
    return [entry[what] for entry in listed[key]]


# -- workflows


async def test_a_workflow_that_goes_while_they_are_listed_hides_no_other(api, monkeypatch):
    listed = Folders.list
    monkeypatch.setattr(Folders, "list", lambda folders, key: (*listed(folders, key), "gone.json"))
    found = names(await api.json("GET", "/api/v1/workflows"), "workflows")
    assert "text_to_image.json" in found and "gone.json" not in found


async def test_a_workflow_is_kept_as_it_was_written_and_says_what_it_is(api):
    text = easel(chain(1), title="Mine", description="For a test", seed=18446744073709551615)
    entry = await api.json("PUT", "/api/v1/workflows/mine/a_test.json", 201, data=text)
    assert (entry["title"], entry["description"], entry["template"], entry["writable"]) == ("Mine", "For a test", False, True)
    assert (await bytes_of(api, "/api/v1/workflows/mine/a_test.json"))[0].decode() == text
    listed = await api.json("GET", "/api/v1/workflows")
    assert "mine" in listed["folders"] and names(listed, "workflows")[-1] == "mine/a_test.json"
    await api.json("DELETE", "/api/v1/workflows/mine/a_test.json", 204)
    assert "mine" not in (await api.json("GET", "/api/v1/workflows"))["folders"]
    assert not (api.settings.data / "workflows" / "mine").exists()


async def test_templates_come_first_with_words_and_stay(api):
    listed = (await api.json("GET", "/api/v1/workflows"))["workflows"]
    first = listed[0]
    assert first["name"] == "text_to_image.json" and first["template"] and not first["writable"]
    assert first["title"] == "Text to image" and "prompt" in first["description"]
    await api.json("DELETE", "/api/v1/workflows/text_to_image.json", 403)
    await api.json("POST", "/api/v1/workflows/text_to_image.json/move", 403, data='{"to": "b.json"}')
    own = await api.json("PUT", "/api/v1/workflows/text_to_image.json", 201, data=easel({}))
    assert own["writable"] and not own["template"]
    await api.json("DELETE", "/api/v1/workflows/text_to_image.json", 204)
    assert (await api.json("GET", "/api/v1/workflows"))["workflows"][0] == first


async def test_every_template_is_described():
    told = tomllib.loads((ROOT / "workflows" / "templates.toml").read_text("utf-8"))
    assert set(told) == {path.stem for path in (ROOT / "workflows").glob("*.json")}
    assert all(entry["title"] and entry["description"].endswith(".") for entry in told.values())


async def test_who_saves_over_anothers_change_is_told(api):
    path = "/api/v1/workflows/shared.json"
    assert (await api.json("PUT", f"{path}?revision=0", 201, data=easel({}, 1)))["revision"] == 1
    assert (await api.json("PUT", f"{path}?revision=1", 201, data=easel({}, 2)))["revision"] == 2
    refused = await api.json("PUT", f"{path}?revision=1", 409, data=easel({}, 2))
    assert refused["error"]["details"] == {"revision": 2}
    await api.json("PUT", f"{path}?revision=0", 409, data=easel({}, 9))
    await api.json("PUT", f"{path}?revision=2", 400, data=easel({}, 2))
    both = await asyncio.gather(*(api.put(f"{path}?revision=2", data=easel({}, 3, who=who)) for who in (1, 2)))
    assert sorted(response.status for response in both) == [201, 409]
    assert json.loads((await bytes_of(api, path))[0])["revision"] == 3
    await api.json("DELETE", path, 204)


async def test_a_workflow_is_renamed_and_nothing_is_lost_by_it(api):
    await api.json("PUT", "/api/v1/workflows/old.json", 201, data=easel({}))
    await api.json("PUT", "/api/v1/workflows/taken.json", 201, data=easel({}))
    await api.json("POST", "/api/v1/workflows/old.json/move", 409, data='{"to": "taken.json"}')
    moved = await api.json("POST", "/api/v1/workflows/old.json/move", data='{"to": "deep/er/new.json"}')
    assert moved["name"] == "deep/er/new.json"
    await api.json("GET", "/api/v1/workflows/old.json", 404)
    for bad in ("../x.json", "x.txt", ".hidden.json", "/x.json", ""):
        await api.json("POST", "/api/v1/workflows/taken.json/move", 400, data=json.dumps({"to": bad}))
    await api.json("DELETE", "/api/v1/workflows/deep/er/new.json", 204)
    await api.json("DELETE", "/api/v1/workflows/taken.json", 204)


async def test_the_picture_of_a_workflow_moves_and_goes_with_it(api):
    folder = api.settings.data / "workflows"
    await api.json("PUT", "/api/v1/workflows/a.json", 201, data=easel({}))
    await api.json("PUT", "/api/v1/workflows/a.b.json", 201, data=easel({}))
    for name in ("a.preview.png", "a.b.png"):
        (folder / name).write_bytes(png())
    moved = await api.json("POST", "/api/v1/workflows/a.json/move", data='{"to": "deep/c.json"}')
    assert moved["preview"] and not (folder / "a.preview.png").exists()
    await bytes_of(api, "/api/v1/thumbnails/workflows/deep/c.json")
    await api.json("DELETE", "/api/v1/workflows/deep/c.json", 204)
    assert not (folder / "deep").exists()
    assert (folder / "a.b.png").exists()  # of another one
    (folder / "taken.png").write_bytes(b"of somebody")
    await api.json("POST", "/api/v1/workflows/a.b.json/move", data='{"to": "taken.json"}')
    assert (folder / "taken.png").read_bytes() == b"of somebody"
    await api.json("POST", "/api/v1/workflows/taken.json/move", data='{"to": "a.b.json"}')
    await api.json("DELETE", "/api/v1/workflows/a.b.json", 204)
    assert not (folder / "a.b.png").exists() and (folder / "taken.png").exists()


@pytest.mark.parametrize(
    ("name", "body"), [("bad.json", "no workflow"), ("bad.txt", "{}"), ("..%2f..%2fx.json", easel({})), (".a.json", easel({}))]
)
async def test_what_is_no_workflow_is_not_kept(api, name, body):
    await api.json("PUT", f"/api/v1/workflows/{name}", 400, data=body)


# -- files and thumbnails


async def test_files_are_listed_by_kind_name_and_age(api):
    await api.json("PUT", "/api/v1/files/input/l/a.png", 201, data=png())
    await api.json("PUT", "/api/v1/files/input/l/b.txt", 201, data=b"x")
    (api.settings.data / "input/l/old.png").write_bytes(png())
    os.utime(api.settings.data / "input/l/old.png", (1, 1))
    pictures = await api.json("GET", "/api/v1/files/input?kind=image&search=L/")
    assert names(pictures) == ["l/a.png", "l/old.png"] and pictures["files"][0]["kind"] == "image" and pictures["total"] == 2
    assert names(await api.json("GET", "/api/v1/files/input?search=l/&order=newest"))[-1] == "l/old.png"
    page = await api.json("GET", "/api/v1/files/input?search=l/&limit=1&start=1")
    assert names(page) == ["l/b.txt"] and page["total"] == 3
    await api.json("GET", "/api/v1/files/input?limit=0", 400)
    await api.json("DELETE", "/api/v1/files/input/l/b.txt", 204)
    await api.json("DELETE", "/api/v1/files/input/l/b.txt", 404)
    await api.json("DELETE", "/api/v1/files/input/..%2f..%2fstate%2fjobs.db", 400)


async def test_the_same_picture_is_there_once_and_only_a_picture_is_named_as_one(api):
    first = await api.json("PUT", "/api/v1/files/input/once/first.png?reuse=true", 201, data=png((1, 2, 3)))
    assert await api.json("PUT", "/api/v1/files/input/once/second.png?reuse=true", 200, data=png((1, 2, 3))) == first
    await api.json("PUT", "/api/v1/files/input/once/second.png?reuse=true", 201, data=png((3, 2, 1)))
    refused = await api.json("PUT", "/api/v1/files/input/once/not.png", 422, data=b"<html>")
    assert str(api.settings.data) not in json.dumps(refused)
    await api.json("PUT", "/api/v1/files/input/once/cut.png", 422, data=png(size=(64, 64))[:90])
    assert sorted(path.name for path in (api.settings.data / "input/once").iterdir()) == ["first.png", "second.png"]


async def test_a_picture_can_be_had_without_its_metadata(api):
    marked = png((9, 9, 9), texts={"prompt": '{"secret": 1}'})
    await api.json("PUT", "/api/v1/files/input/marked.png", 201, data=marked)
    bare, _ = await bytes_of(api, "/api/v1/files/input/marked.png?metadata=false")
    assert b"secret" in marked and b"secret" not in bare
    assert Image.open(io.BytesIO(bare)).tobytes() == Image.open(io.BytesIO(marked)).tobytes()
    await api.json("PUT", "/api/v1/files/input/marked.txt", 201, data=b"x")
    await api.json("GET", "/api/v1/files/input/marked.txt?metadata=false", 422)


async def test_thumbnails_are_small_upright_and_cached_by_etag(api):
    await api.json("PUT", "/api/v1/files/input/wide.jpg", 201, data=jpeg((2000, 1000), orientation=6))
    data, headers = await bytes_of(api, "/api/v1/thumbnails/input/wide.jpg?size=100")
    picture = Image.open(io.BytesIO(data))
    assert picture.size == (50, 100) and headers["Content-Type"] == "image/webp" and len(data) < 3000
    assert (await bytes_of(api, "/api/v1/thumbnails/input/wide.jpg?size=100", 304, **{"If-None-Match": headers["ETag"]}))[0] == b""
    (api.settings.data / "input/wide.jpg").write_bytes(jpeg((10, 10)))
    changed, fresh = await bytes_of(api, "/api/v1/thumbnails/input/wide.jpg?size=100", **{"If-None-Match": headers["ETag"]})
    assert fresh["ETag"] != headers["ETag"] and Image.open(io.BytesIO(changed)).size == (10, 10)
    alpha = png((1, 2, 3, 100), "RGBA", (40, 40))
    await api.json("PUT", "/api/v1/files/input/alpha.png", 201, data=alpha)
    assert Image.open(io.BytesIO((await bytes_of(api, "/api/v1/thumbnails/input/alpha.png"))[0])).mode == "RGBA"


@pytest.mark.parametrize("query", ["size=4", "size=99999", "other=1"])
async def test_a_thumbnail_of_another_size_is_refused(api, query):
    await api.json("GET", f"/api/v1/thumbnails/input/wide.jpg?{query}", 400)


async def test_what_is_no_picture_has_no_thumbnail(api):
    await api.json("PUT", "/api/v1/files/input/text.txt", 201, data=b"no picture")
    await api.json("GET", "/api/v1/thumbnails/input/text.txt", 422)
    await api.json("GET", "/api/v1/thumbnails/input/none.png", 404)
    await api.json("GET", "/api/v1/thumbnails/state/jobs.db", 404)
    await api.json("GET", "/api/v1/thumbnails/input/..%2f..%2fstate%2fjobs.db", 400)


async def test_a_workflow_and_a_model_show_the_picture_beside_them(api):
    await api.json("PUT", "/api/v1/workflows/shown.json", 201, data=easel({}))
    await api.json("GET", "/api/v1/thumbnails/workflows/shown.json", 404)
    (api.settings.data / "workflows/shown.png").write_bytes(png(size=(30, 30)))
    assert Image.open(io.BytesIO((await bytes_of(api, "/api/v1/thumbnails/workflows/shown.json"))[0])).size == (30, 30)
    entry = next(e for e in (await api.json("GET", "/api/v1/workflows"))["workflows"] if e["name"] == "shown.json")
    assert entry["preview"]
    secret = api.settings.data.parent / "secret.png"
    secret.write_bytes(png())
    (api.settings.data / "workflows/shown.png").unlink()
    (api.settings.data / "workflows/shown.png").symlink_to(secret)
    await api.json("GET", "/api/v1/thumbnails/workflows/shown.json", 404)
    (api.settings.data / "workflows/shown.png").unlink()
    await api.json("DELETE", "/api/v1/workflows/shown.json", 204)


# -- models


def safetensors(path: Path, metadata: dict[str, str]) -> None:
    header = json.dumps({"__metadata__": metadata, "a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")


async def test_models_are_listed_and_say_what_they_are(api):
    loras = api.settings.data / "models" / "loras"
    frequencies = json.dumps({"10_sks": {"sks shape": 20, "red": 7}, "other": {"red": 1, "odd": "x"}})
    words = {"modelspec.title": "Pinwheel", "modelspec.trigger_phrase": "sks shape", "ss_tag_frequency": frequencies}
    picture = "data:image/png;base64," + base64.b64encode(png(size=(20, 20))).decode()
    safetensors(loras / "style/pin.safetensors", {**words, "ss_resolution": "(512, 512)", "modelspec.thumbnail": picture})
    (loras / "style/pin.json").write_text(json.dumps({"activation text": "five leaves", "preferred weight": 0.8, "notes": "mine"}))
    (loras / "broken.safetensors").write_bytes(b"<html>no model")
    folders = {entry["name"]: entry["files"] for entry in (await api.json("GET", "/api/v1/models"))["folders"]}
    assert folders["loras"] == 2 and folders["checkpoints"] >= 1 and "output" not in folders
    listed = await api.json("GET", "/api/v1/models/loras?search=PIN")
    assert names(listed) == ["style/pin.safetensors"] and not listed["files"][0]["preview"]
    told = await api.json("GET", "/api/v1/models/loras/style/pin.safetensors")
    assert (told["title"], told["resolution"], told["strength"], told["notes"]) == ("Pinwheel", "512, 512", 0.8, "mine")
    assert told["trigger_words"] == ["sks shape", "five leaves"]
    assert told["tags"][:2] == [{"tag": "sks shape", "count": 20}, {"tag": "red", "count": 8}]
    assert (told["tensors"], told["dtypes"], told["fault"]) == (1, ["F16"], "")
    small, _ = await bytes_of(api, "/api/v1/thumbnails/loras/style/pin.safetensors?size=16")
    assert Image.open(io.BytesIO(small)).size == (16, 16)
    broken = await api.json("GET", "/api/v1/models/loras/broken.safetensors")
    assert "web page" in broken["fault"] and str(api.settings.data) not in json.dumps(broken)
    await api.json("GET", "/api/v1/models/workflows", 404)
    await api.json("GET", "/api/v1/models/loras/..%2f..%2f..%2fstate%2fjobs.db", 400)


async def test_the_embedded_model_says_what_it_is(api):
    told = await api.json("GET", "/api/v1/models/checkpoints/tiny-shapes.safetensors")
    assert told["tensors"] > 500 and told["fault"] == ""


@pytest.mark.parametrize("frequencies", ["[]", "{", '{"a": 5}', '{"a": {"b": -1, "c": true, "d": 1e400}}', "[" * 100_000])
async def test_odd_metadata_is_passed_over(api, frequencies):
    safetensors(api.settings.data / "models/loras/odd.safetensors", {"ss_tag_frequency": frequencies})
    assert (await api.json("GET", "/api/v1/models/loras/odd.safetensors"))["tags"] == []


# -- datasets


async def test_pictures_of_a_dataset_and_their_captions_are_edited(api):
    for name in ("a.png", "10_sks shape/b.png"):
        answer = await api.json("PUT", f"/api/v1/datasets/mine/pictures/{name}", 201, data=png(size=(30, 20)))
        assert answer == {"text": name}
    (api.settings.data / "datasets/mine/a.txt").write_text("a red circle")
    (api.settings.data / "datasets/mine/broken.png").write_bytes(b"x")
    listed = next(entry for entry in (await api.json("GET", "/api/v1/datasets"))["datasets"] if entry["name"] == "mine")
    assert (listed["pictures"], listed["captions"]) == (3, 1)
    pictures = (await api.json("GET", "/api/v1/datasets/mine"))["pictures"]
    told = [(entry["name"], entry["caption"], entry["width"], entry["height"]) for entry in pictures]
    assert told == [("10_sks shape/b.png", None, 30, 20), ("a.png", "a red circle", 30, 20), ("broken.png", None, None, None)]
    path = "/api/v1/datasets/mine/captions/a.png"
    await api.json("PUT", path, data=json.dumps({"text": "a green circle", "previous": "a red circle"}))
    conflict = await api.json("PUT", path, 409, data=json.dumps({"text": "mine", "previous": "a red circle"}))
    assert conflict["error"]["details"] == {"text": "a green circle"}
    assert (api.settings.data / "datasets/mine/a.txt").read_text() == "a green circle"
    found = await api.json("GET", "/api/v1/datasets/mine?search=GREEN")
    assert names(found, "pictures") == ["a.png"]
    assert Image.open(io.BytesIO((await bytes_of(api, "/api/v1/thumbnails/datasets/mine/a.png?size=16"))[0])).size == (16, 11)
    await api.json("DELETE", "/api/v1/datasets/mine/pictures/a.png", 204)
    assert not (api.settings.data / "datasets/mine/a.txt").exists()


async def test_a_caption_that_two_pictures_share_goes_with_the_last_of_them(api):
    for name in ("a.png", "a.webp"):
        await api.json("PUT", f"/api/v1/datasets/twins/pictures/{name}", 201, data=png())
    caption = api.settings.data / "datasets/twins/a.txt"
    caption.write_text("a red circle")
    await api.json("DELETE", "/api/v1/datasets/twins/pictures/a.png", 204)
    assert (await api.json("GET", "/api/v1/datasets/twins"))["pictures"][0]["caption"] == "a red circle"
    await api.json("DELETE", "/api/v1/datasets/twins/pictures/a.webp", 204)
    assert not caption.exists()


async def test_the_buckets_of_a_dataset_are_told_before_anything_is_trained(api):
    for name, size in (("a.png", (512, 512)), ("b.png", (1024, 1024)), ("wide.png", (300, 100)), ("tiny.png", (20, 20))):
        await api.json("PUT", f"/api/v1/datasets/sizes/pictures/{name}", 201, data=png(size=size))
    table = await api.json("GET", "/api/v1/datasets/sizes/buckets")
    square = next(bucket for bucket in table["buckets"] if bucket["width"] == bucket["height"] == 512)
    told = {picture["name"]: picture for picture in square["pictures"]}
    assert (told["a.png"]["scale"], told["b.png"]["scale"], told["a.png"]["cropped"]) == (1, 0.5, 0)
    assert any(bucket["width"] > bucket["height"] for bucket in table["buckets"])
    small = await api.json("GET", "/api/v1/datasets/sizes/buckets?rule=least_crop_no_upscale")
    assert "tiny.png" in [misfit["name"] for misfit in small["misfits"]]
    assert "multiple" in (await api.json("GET", "/api/v1/datasets/sizes/buckets?step=20", 422))["error"]["message"]
    await api.json("GET", "/api/v1/datasets/sizes/buckets?rule=other", 400)


@pytest.mark.parametrize("name", ["..%2f..%2fx.png", "a%00.png", "x.txt", "..%2fother%2fa.png"])
async def test_a_dataset_is_not_left(api, name):
    await api.json("PUT", f"/api/v1/datasets/mine/pictures/{name}", 400, data=png())
    for method, kind in (("PUT", "captions"), ("DELETE", "pictures")):
        async with api.request(method, f"/api/v1/datasets/mine/{kind}/{name}", data='{"text": "x"}') as response:
            assert response.status in (400, 404)


async def test_a_link_out_of_a_dataset_is_not_followed(api):
    outside = api.settings.data.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "p.png").write_bytes(png())
    folder = api.settings.data / "datasets/linked"
    folder.mkdir(parents=True)
    (folder / "in").symlink_to(outside)
    assert (await api.json("GET", "/api/v1/datasets/linked"))["pictures"] == []
    (folder / "p.png").symlink_to(outside / "p.png")
    await api.json("GET", "/api/v1/thumbnails/datasets/linked/p.png", 400)
    (folder / "lost.png").symlink_to(folder / "nothing.png")
    (folder / "own.png").write_bytes(png())
    (folder / "why?.png").write_bytes(png())
    (folder / "own.txt").mkdir()
    listed = await api.json("GET", "/api/v1/datasets/linked")
    assert [(entry["name"], entry["caption"]) for entry in listed["pictures"]] == [("own.png", None)]
    assert listed["total"] == 1
    reasons = {entry["name"]: entry["reason"] for entry in listed["left_out"]}
    assert "leaves the folder" in reasons["p.png"] and "leads nowhere" in reasons["lost.png"] and "'?'" in reasons["why?.png"]
    table = await api.json("GET", "/api/v1/datasets/linked/buckets?width=64&height=64&smallest=64")
    assert [picture["name"] for bucket in table["buckets"] for picture in bucket["pictures"]] == ["own.png"]
    await api.json("PUT", "/api/v1/datasets/linked/captions/own.png", 409, data='{"text": "x"}')
    await api.json("DELETE", "/api/v1/datasets/linked/pictures/own.png", 204)
    assert (folder / "own.txt").is_dir()


async def test_captions_of_both_names_count_and_are_edited_where_they_are(api):
    for name in ("a.png", "b.png"):
        await api.json("PUT", f"/api/v1/datasets/named/pictures/{name}", 201, data=png())
    folder = api.settings.data / "datasets/named"
    (folder / "a.caption").write_text("a red circle")
    listed = next(entry for entry in (await api.json("GET", "/api/v1/datasets"))["datasets"] if entry["name"] == "named")
    assert (listed["pictures"], listed["captions"]) == (2, 1)
    for name, text in (("a.png", "a green circle"), ("b.png", "a blue circle")):
        await api.json("PUT", f"/api/v1/datasets/named/captions/{name}", data=json.dumps({"text": text}))
    assert {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".png"} == {
        "a.caption": "a green circle",
        "b.txt": "a blue circle",
    }
    (folder / "a.txt").write_text("a preferred one")
    pictures = (await api.json("GET", "/api/v1/datasets/named"))["pictures"]
    assert [entry["caption"] for entry in pictures] == ["a preferred one", "a blue circle"]


async def test_a_file_whose_name_nobody_could_ask_for_is_told_of(api, caplog):
    (api.settings.data / "input" / "what?.png").write_bytes(png())
    (api.settings.data / "input" / "that.png").write_bytes(png())
    found = await api.json("GET", "/api/v1/files/input")
    assert "that.png" in names(found, "files") and "what?.png" not in names(found, "files")
    assert any("'what?.png'" in record.getMessage() for record in caplog.records)


# -- files from elsewhere


async def test_workflows_of_other_programs_are_opened(api):
    prompt = {"7": {"class_type": "ComfyAdd", "inputs": {"left": 18446744073709551615, "right": 2}, "is_changed": [1]}}
    text = json.dumps(prompt).replace("[1]", "[NaN]")
    found = await api.json("POST", "/api/v1/import", data=text)
    assert (found["source"], found["workflow"]["format"]) == ("api", "easel/1")
    assert found["workflow"]["nodes"]["7"]["inputs"]["left"] == 18446744073709551615
    unknown = await api.json("POST", "/api/v1/import", data=json.dumps({"1": {"class_type": "Nonesuch", "inputs": {"x": 1}}}))
    assert unknown["workflow"]["nodes"]["1"]["inputs"] == {"x": 1} and unknown["problems"][0]["code"] == "unknown_node"
    same = await api.json("POST", "/api/v1/import", data=easel(chain(1), 5, mine={"kept": 1}))
    assert (same["source"], same["workflow"]["mine"], same["problems"]) == ("easel/1", {"kept": 1}, [])
    nodes = [{"id": 3, "type": "ComfyAdd", "pos": [10, 20], "widgets_values": [4, 5]}]
    editor = await api.json("POST", "/api/v1/import", data=json.dumps({"nodes": nodes, "links": [], "version": 0.4}))
    assert (editor["source"], editor["workflow"]["nodes"]["3"]["inputs"]) == ("ui", {"left": 4, "right": 5})
    for odd in ("", "{", "[]", "5", '{"a": 1, "a": 2}', "\udcff".encode("utf-8", "surrogatepass")):
        nothing = await api.json("POST", "/api/v1/import", data=odd)
        assert nothing["workflow"] is None and nothing["problems"][0]["message"]


async def test_the_workflow_in_a_picture_is_opened(api):
    prompt = json.dumps(chain(1))
    for texts, source in (
        ({"prompt": prompt, "workflow": '{"nodes": [5]}'}, "api"),
        ({"easel": easel(chain(2)), "prompt": prompt}, "easel/1"),
        ({"workflow": '{"nodes": [], "links": []}'}, "ui"),
        ({"parameters": "a cat\nSteps: 20, Seed: 18446744073709551615, Size: 512x768"}, "parameters"),
        ({"prompt": "{broken"}, ""),
        ({}, ""),
    ):
        found = await api.json("POST", "/api/v1/import", data=png(texts=texts))
        assert found["source"] == source and found["parameters"] == texts.get("parameters", "")
        assert (found["workflow"] is not None) == (source in ("api", "easel/1", "parameters", "ui"))
        assert found["workflow"] is not None or found["problems"]
    pasted = await api.json("POST", "/api/v1/import", data="a cat\nNegative prompt: a dog\nSteps: 7, Sampler: Euler a, Seed: 5")
    assert pasted["source"] == "parameters" and pasted["notes"]
    assert "a dog" in json.dumps(pasted["workflow"])
    await api.json("PUT", "/api/v1/files/input/holds.png", 201, data=png(texts={"prompt": prompt}))
    assert (await api.json("POST", "/api/v1/import?root=input&name=holds.png"))["workflow"] is not None
    await api.json("POST", "/api/v1/import?root=input&name=none.png", 404)
    await api.json("POST", "/api/v1/import", 422, data=png()[:20])


async def test_the_workflow_in_a_webp_of_comfyui_is_opened(api):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{json.dumps(chain(1))}"
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", exif=exif)
    assert (await api.json("POST", "/api/v1/import", data=buffer.getvalue()))["source"] == "api"


async def test_the_tokens_of_a_prompt_are_counted(api):
    found = await api.json("POST", "/api/v1/tokens", data=json.dumps({"text": "a photo of a (cat:1.2)"}))
    assert found == {"count": 5, "size": 75, "chunks": [[320, 1125, 539, 320, 2368]]}  # OpenAI's CLIP gives these
    long = await api.json("POST", "/api/v1/tokens", data=json.dumps({"text": "cat " * 100}))
    assert long["count"] == 100 and [len(chunk) for chunk in long["chunks"]] == [75, 25]
    assert (await api.json("POST", "/api/v1/tokens", data='{"text": ""}'))["chunks"] == [[]]
    await api.json("POST", "/api/v1/tokens", 400, data='{"text": 5}')


async def test_the_system_is_described(api):
    told = await api.json("GET", "/api/v1/system")
    assert told["memory_total"] > told["memory_free"] > 0 and told["disk_free"] > 0 and told["worker"] == "ready"
    assert told["device"]["name"] == "cpu" and set(told["cache"]) == {"memory", "disk"} and told["worker_memory"] > 0
    await api.json("POST", "/api/v1/system/free", 204, data='{"models": true, "results": true}')

"""Files that go out and come in."""

from __future__ import annotations

import io
import json

import aiohttp
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytestmark = pytest.mark.asyncio(loop_scope="module")


def png(color=(255, 0, 0), mode="RGB", size=(4, 4), texts=None) -> bytes:
    buffer = io.BytesIO()
    info = PngInfo()
    for name, value in (texts or {}).items():
        info.add_text(name, value)
    Image.new(mode, size, color).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


async def upload(api, data: bytes, name: str = "a.png", path: str = "/upload/image", status: int = 200, **fields: str):
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("image", data, filename=name)
    for field, value in fields.items():
        form.add_field(field, value)
    return await api.json("POST", path, status, data=form)


async def fetch(api, path: str) -> tuple[int, bytes, dict[str, str]]:
    async with api.get(path) as response:
        return response.status, await response.read(), dict(response.headers)


async def test_an_uploaded_picture_comes_back(api):
    assert await upload(api, png()) == {"name": "a.png", "subfolder": "", "type": "input"}
    status, data, headers = await fetch(api, "/view?filename=a.png&type=input")
    assert (status, data, headers["Content-Type"]) == (200, png(), "image/png")
    assert 'filename="a.png"' in headers["Content-Disposition"]
    assert (await fetch(api, "/view?filename=a.png%20%5Binput%5D"))[1] == png()


async def test_another_file_of_the_same_name_gets_another_one(api):
    first = await upload(api, png((1, 1, 1)), "same.png")
    assert await upload(api, png((1, 1, 1)), "same.png") == first
    assert (await upload(api, png((2, 2, 2)), "same.png"))["name"] == "same (1).png"
    assert (await upload(api, png((2, 2, 2)), "same.png"))["name"] == "same (1).png"
    assert (await upload(api, png((3, 3, 3)), "same.png", overwrite="true"))["name"] == "same.png"
    assert (await fetch(api, "/view?filename=same.png&type=input"))[1] == png((3, 3, 3))


async def test_subfolders_and_types(api):
    stored = await upload(api, b"x", "b.bin", subfolder="deep/er", type="temp")
    assert stored == {"name": "b.bin", "subfolder": "deep/er", "type": "temp"}
    assert (await fetch(api, "/view?filename=b.bin&subfolder=deep/er&type=temp"))[:2] == (200, b"x")
    await upload(api, b"x", "b.bin", status=400, type="state")


@pytest.mark.parametrize("subfolder", ["..", "../..", "a/../../b", "/etc", "..\\..", "a\x00b", "C:"])
async def test_an_upload_stays_in_its_folder(api, subfolder):
    before = sorted(path for path in api.settings.data.parent.rglob("*") if "state" not in path.parts)
    if subfolder == "/etc":  # leading slashes are taken off, as ComfyUI does
        assert (await upload(api, b"x", "c.bin", subfolder=subfolder))["subfolder"] == "etc"
        return
    await upload(api, b"x", "c.bin", status=400, subfolder=subfolder)
    assert sorted(path for path in api.settings.data.parent.rglob("*") if "state" not in path.parts) == before


async def test_only_the_last_part_of_an_uploaded_name_counts(api):
    assert (await upload(api, b"x", "some/folder/d.bin"))["name"] == "d.bin"
    await upload(api, b"x", "..", status=400)
    await upload(api, b"x", "nul", status=400)


async def test_bad_forms_are_refused_and_leave_nothing(api):
    await api.json("POST", "/upload/image", 400, data=b"no form")
    await api.json("POST", "/upload/image", 400, data=b"no form", headers={"Content-Type": "multipart/form-data; boundary=x"})
    await api.json("POST", "/upload/image", 400, data=aiohttp.FormData({"subfolder": "x"}, default_to_multipart=True))
    async with api.post("/upload/image", data=b"--x\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"}) as response:
        assert response.status == 400
    assert not list(api.settings.data.rglob(".*.part*"))


async def test_a_mask_becomes_the_alpha_of_the_original(api):
    await upload(api, png((10, 20, 30), texts={"prompt": "{}"}), "original.png")
    reference = json.dumps({"filename": "original.png", "subfolder": "", "type": "input"})
    mask = png((0, 0, 0, 77), "RGBA")
    stored = await upload(api, mask, "masked.png", "/upload/mask", original_ref=reference)
    _, data, _ = await fetch(api, f"/view?filename={stored['name']}&type=input")
    picture = Image.open(io.BytesIO(data))
    assert picture.getpixel((0, 0)) == (10, 20, 30, 77)
    assert picture.text == {"prompt": "{}"}


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        ({"filename": "gone.png", "type": "input"}, 404),
        ({"filename": "../../x.png", "type": "input"}, 400),
        ({"filename": "a.png", "type": "state"}, 400),
        ({}, 404),
        ([], 400),
        ("{", 400),
    ],
)
async def test_a_mask_of_nothing_is_refused_and_nothing_is_written(api, reference, status):
    text = reference if isinstance(reference, str) else json.dumps(reference)
    await upload(api, png((0, 0, 0, 1), "RGBA"), "never.png", "/upload/mask", status=status, original_ref=text)
    assert not (api.settings.data / "input" / "never.png").exists()


async def test_pictures_can_be_asked_for_smaller_or_in_parts(api):
    await upload(api, png((200, 100, 50, 128), "RGBA"), "alpha.png")
    _, data, headers = await fetch(api, "/view?filename=alpha.png&type=input&preview=webp;50")
    assert headers["Content-Type"] == "image/webp" and Image.open(io.BytesIO(data)).format == "WEBP"
    _, data, headers = await fetch(api, "/view?filename=alpha.png&type=input&preview=jpeg")
    assert Image.open(io.BytesIO(data)).format == "WEBP"  # the default channel rgba holds an a
    _, data, _ = await fetch(api, "/view?filename=alpha.png&type=input&preview=jpeg&channel=rgb")
    assert Image.open(io.BytesIO(data)).format == "JPEG"
    _, data, _ = await fetch(api, "/view?filename=alpha.png&type=input&channel=rgb")
    assert Image.open(io.BytesIO(data)).getpixel((0, 0)) == (200, 100, 50)
    _, data, _ = await fetch(api, "/view?filename=alpha.png&type=input&channel=a")
    assert Image.open(io.BytesIO(data)).getchannel("A").getpixel((0, 0)) == 128
    await upload(api, b"no picture", "broken.png")
    assert (await fetch(api, "/view?filename=broken.png&type=input&preview=webp"))[0] == 422


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 404),
        ("filename=", 400),
        ("filename=gone.png", 404),
        ("filename=/etc/passwd", 400),
        ("filename=../state/jobs.db", 400),
        ("filename=..%2f..%2fetc%2fpasswd", 400),
        ("filename=jobs.db&type=state", 400),
        ("filename=jobs.db&subfolder=../state", 403),
        ("filename=jobs.db&subfolder=..", 403),
        ("filename=a.png&type=input&subfolder=%00", 403),
        ("filename=%00", 400),
    ],
)
async def test_view_gives_nothing_else(api, query, status):
    assert (await fetch(api, f"/view?{query}"))[0] == status


async def test_a_link_out_of_the_folder_is_not_followed(api):
    (api.settings.data / "output" / "leak").symlink_to(api.settings.data / "state")
    assert (await fetch(api, "/view?filename=jobs.db&subfolder=leak"))[0] in (400, 403)
    assert (await fetch(api, "/api/v1/files/output/leak/jobs.db"))[0] == 400


@pytest.mark.parametrize("name", ["page.html", "image.svg", "script.js", "style.css", "page.xhtml", "thing.unknown", "flash.swf"])
async def test_what_a_browser_could_run_is_only_downloaded(api, name):
    await upload(api, b"<script>alert(1)</script>", name)
    for path in (f"/view?filename={name}&type=input", f"/api/v1/files/input/{name}"):
        _, _, headers = await fetch(api, path)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in headers["Content-Security-Policy"]


async def test_ranges_and_etags_work(api):
    await upload(api, b"0123456789", "range.bin")
    async with api.get("/view?filename=range.bin&type=input", headers={"Range": "bytes=2-4"}) as response:
        assert (response.status, await response.read()) == (206, b"234")
        etag = response.headers["ETag"]
    async with api.get("/view?filename=range.bin&type=input", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


async def test_names_of_any_language(api):
    stored = await upload(api, b"x", '日本 "q" é.bin'.replace('"', "'"))
    status, _, headers = await fetch(api, f"/view?filename={stored['name']}&type=input")
    assert status == 200 and "filename*=UTF-8''" in headers["Content-Disposition"]


async def test_the_metadata_of_weights_can_be_read(api):
    header = json.dumps({"__metadata__": {"ss_steps": "10"}}).encode()
    (api.settings.data / "models" / "loras" / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (api.settings.data / "models" / "loras" / "b.safetensors").write_bytes(b"\xff" * 20)
    assert await api.json("GET", "/view_metadata/loras?filename=a.safetensors") == {"ss_steps": "10"}
    for query in (
        "loras?filename=b.safetensors",
        "loras?filename=c.safetensors",
        "nonesuch?filename=a",
        "loras?filename=../../x.safetensors",
    ):
        assert (await fetch(api, f"/view_metadata/{query}"))[0] == 404
    assert "a.safetensors" in await api.json("GET", "/models/loras")
    assert {"name", "pathIndex", "modified", "created", "size"} == set((await api.json("GET", "/experiment/models/loras"))[0])


@pytest.mark.parametrize("name", ["..%2f..%2fstate%2fjobs.db", "%2e%2e%2fx", "..%252f..%252fx", "%00", "a%2f..%2f..%2f..%2fx"])
async def test_userdata_stays_in_its_folder(api, name):
    for method in ("GET", "POST", "DELETE"):
        async with api.request(method, f"/userdata/{name}", data=b"x") as response:
            assert response.status == 403, method
    async with api.post(f"/userdata/{name}/move/x") as response:
        assert response.status == 403
    await api.json("GET", "/userdata?dir=..", 403)
    await api.json("GET", "/v2/userdata?path=../..", 403)

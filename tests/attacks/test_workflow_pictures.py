"""A picture beside a workflow that is a link to elsewhere: renaming the workflow does not bring its target into the data folder."""

from __future__ import annotations

import io

from PIL import Image

from tests.server.serving import make_data, serving


async def test_a_link_out_of_the_folder_stays_a_link(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    (tmp_path / "private.png").write_bytes(picture.getvalue())
    async with serving(make_data(tmp_path / "data")) as api:
        await api.json("PUT", "/api/v1/workflows/a.json", 201, data='{"format": "easel/1", "nodes": {}}')
        folder = api.settings.data / "workflows"
        (folder / "a.png").symlink_to(tmp_path / "private.png")
        await api.json("POST", "/api/v1/workflows/a.json/move", data='{"to": "b.json"}')
        assert (folder / "b.png").is_symlink() and not (folder / "a.png").is_symlink()
        await api.json("GET", "/api/v1/thumbnails/workflows/b.json", 404)
        await api.json("DELETE", "/api/v1/workflows/b.json", 204)
    assert (tmp_path / "private.png").read_bytes() == picture.getvalue()

"""Those who have no token, and pages elsewhere: what they send costs nothing, breaks nothing and writes nothing into the log."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from engine.server import login
from tests.server.serving import make_data, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "a token of some length"


async def answer(port: int, head: bytes, body: bytes = b"") -> int:
    """The status of a request as it stands, which no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


FORM = b"POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded"


async def test_who_has_no_token_makes_no_error_of_the_server(tmp_path):
    async with serving(make_data(tmp_path / "data"), token=TOKEN) as api:
        for head in (
            b"Authorization: Bearer \xff",
            b"Authorization: Bearer \xed\xa0\x80",
            b"Cookie: easel_session=\xff",
            b'Cookie: easel_session="\\377"',
        ):
            assert await answer(api.port, b"GET /%1b]0;mine%07 HTTP/1.1\r\n" + head) == 401
        forms = (
            (FORM, b"token=\xff"),
            (FORM, b"token=%ff%ed%a0%80"),
            (FORM + b"; charset=rot13", b"token=x"),
            (FORM + b"; charset=utf-16", b"token=x"),
            (FORM, b"&a=1" * 1_000_000),
            (FORM, b"token=" + b"x" * 1_000_000),
            (FORM.replace(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"), b"--x\r\n\r\n"),
        )
        assert await asyncio.gather(*(answer(api.port, head, body) for head, body in forms)) == [401] * len(forms)
        log = await api.json("GET", "/api/v1/system/log", headers={"Authorization": f"Bearer {TOKEN}"})
        assert [line for line in log["lines"] if line["source"] == "server"] == []


async def test_pages_elsewhere_load_nothing_of_this_server(tmp_path):
    async with serving(make_data(tmp_path / "data")) as api:
        paths = ("/api/v1/events", "/api/v1/jobs", "/view?filename=x.png&preview=webp", "/editor/main.js", "/")
        for path, site, mode in product(paths, ("cross-site", "same-site"), ("cors", "no-cors", "same-origin", "websocket")):
            async with api.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}) as response:
                assert response.status == 403, path
        async with api.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}) as response:
            assert response.status == 200  # a link may lead here
        async with api.get("/api/v1/jobs", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) as response:
            assert response.status == 200


async def test_a_form_that_never_ends_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(login, "PATIENCE_SECONDS", 0.05)
    async with serving(make_data(tmp_path / "data"), token=TOKEN) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(FORM + b"\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\ntoken=")
        assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"401"
        writer.close()

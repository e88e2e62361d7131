"""Connections that somebody opens and never closes: there is an end to them, the one too many is told so, and those that are there stay."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from engine.server import sockets
from tests.server.serving import Api, chain, make_data, serving

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def opened(api: Api, sid: str) -> aiohttp.ClientWebSocketResponse:
    """A connection, as soon as there is room for it."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await api.ws_connect(f"/ws?clientId={sid}")
            except aiohttp.WSServerHandshakeError as refused:
                assert refused.status == 503
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(("limit", "ids"), [("MOST_SOCKETS", ["a", "b", "c", "d"]), ("MOST_OF_ONE", ["same"] * 4)])
async def test_one_too_many_is_refused_with_the_reason(tmp_path, monkeypatch, limit: str, ids: list[str]) -> None:
    monkeypatch.setattr(sockets, limit, 3)
    async with serving(make_data(tmp_path / "data")) as api:
        there = [await opened(api, sid) for sid in ids[:3]]
        answer = await api.request("GET", f"/ws?clientId={ids[3]}", headers=HANDSHAKE)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        error = (await answer.json())["error"]
        assert error["code"] == "busy" and error["message"].startswith("3 WebSockets") and "Close" in error["hint"]
        for _ in range(3):  # room is given back as often as it is taken
            await there.pop(0).close()
            there.append(await opened(api, ids[3]))
        job = await api.run(chain(2), client_id=ids[3])
        assert job["outputs"] == {"show": {"text": ["2"]}}
        async with asyncio.timeout(60):
            while (await there[-1].receive_json())["type"] != "executed":
                continue


async def test_a_handshake_that_fails_takes_no_room(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sockets, "MOST_SOCKETS", 2)
    async with serving(make_data(tmp_path / "data")) as api:
        for _ in range(5):
            assert (await api.request("GET", "/ws?clientId=a")).status == 400  # no upgrade asked for
            assert (await api.request("GET", "/ws", headers={**HANDSHAKE, "Sec-WebSocket-Version": "1"})).status == 400
        assert not (await api.ws_connect("/ws?clientId=a")).closed

"""Connections that somebody opens and never closes: there is an end to them, the one too many is told so, and those that are there stay."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from engine.server import connections, sockets
from engine.server.app import SILENCE
from engine.server.comfy.socket import HUB
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


async def test_a_peer_that_is_gone_without_a_word_is_noticed_in_minutes(tmp_path) -> None:
    """By the system, which probes connections that are silent."""
    async with serving(make_data(tmp_path / "data")) as api:
        talking = await api.ws_connect("/ws?clientId=a")
        connection = api.app[HUB]._clients["a"]._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        seconds, between, times = (
            connection.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert seconds + between * times <= 120
        await talking.close()


async def test_a_handshake_that_fails_takes_no_room(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sockets, "MOST_SOCKETS", 2)
    async with serving(make_data(tmp_path / "data")) as api:
        for _ in range(5):
            assert (await api.request("GET", "/ws?clientId=a")).status == 400  # no upgrade asked for
            assert (await api.request("GET", "/ws", headers={**HANDSHAKE, "Sec-WebSocket-Version": "1"})).status == 400
        assert not (await api.ws_connect("/ws?clientId=a")).closed


async def test_connections_that_say_nothing_leave_room_for_those_who_ask(tmp_path, monkeypatch) -> None:
    """Some send nothing, some a request that never ends. A page that is open stays, and so does its WebSocket."""
    monkeypatch.setattr(connections, "MOST_SILENT", 3)
    async with serving(make_data(tmp_path / "data")) as api:
        server, silence = api.server.runner.server, api.app[SILENCE]
        page = await api.ws_connect("/ws?clientId=page")
        asked = await asyncio.open_connection("127.0.0.1", api.port)
        asked[1].write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await asked[0].readline()).startswith(b"HTTP/1.1 200")
        silent = []
        for number in range(8):
            silent.append(await asyncio.open_connection("127.0.0.1", api.port))
            silent[-1][1].write(b"GET / HTTP/1.1\r\nHost: 127." * (number % 2))
            async with asyncio.timeout(60):
                while len(server.connections) < number + 3:
                    await asyncio.sleep(0.01)
        silence.close_some(server.connections, now=0.0)  # they may be about to ask
        assert all(one.transport for one in server.connections)
        silence.close_some(server.connections, now=0.5)
        for reader, _ in silent[:5]:
            assert await asyncio.wait_for(reader.read(), 60) == b""
        assert not any(reader.at_eof() for reader, _ in silent[5:])
        silence.close_some(server.connections, now=connections.SILENT_SECONDS)
        for reader, _ in silent[5:]:
            assert await asyncio.wait_for(reader.read(), 60) == b""
        asked[1].write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await asyncio.wait_for(asked[0].readuntil(b'"catalogue"'), 60)
        job = await api.run(chain(2), client_id="page")
        assert job["outputs"] == {"show": {"text": ["2"]}} and not page.closed
        for _, writer in (asked, *silent):
            writer.close()

"""`/ws`: the connection of one ComfyUI client."""

from __future__ import annotations

import asyncio
import json
import socket as tcp
import uuid
from typing import Any

from aiohttp import WSMsgType, web

from engine.comfy.protocol.messages import Message, message
from engine.errors import BadRequest
from engine.server.comfy.system import features
from engine.server.sockets import Client, Hub
from engine.server.state import server_of

routes = web.RouteTableDef()
HUB = web.AppKey("hub", Hub)

LARGEST_MESSAGE = 4 * 2**20
LONGEST_ID = 200
PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""When a silent peer is asked by TCP whether it is still there (seconds), how often (seconds), and how many times."""


@routes.get("/ws")
async def connect(request: web.Request) -> web.WebSocketResponse:
    """Tells everything about the jobs of `clientId`; the client's first message may say what it understands. 503 for one too many."""
    sid = request.query.get("clientId") or uuid.uuid4().hex
    if len(sid) > LONGEST_ID:
        raise BadRequest("clientId is longer than 200 characters")
    hub = request.config_dict[HUB]
    with hub.admitted(sid):
        return await _talk(request, hub, sid)


async def _talk(request: web.Request, hub: Hub, sid: str) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, max_msg_size=LARGEST_MESSAGE)
    await socket.prepare(request)
    transport = request.transport
    if transport is None:
        return socket
    _probe(transport)
    client = Client(sid, socket, transport)
    hub.add(client)
    try:
        first = True
        async for received in socket:
            if received.type is WSMsgType.TEXT and first:
                first = False
                if _negotiates(client, received.data):
                    client.send([Message(message("feature_flags", features(server_of(request).settings)))])
    finally:
        hub.remove(client)
    return socket


def _probe(transport: asyncio.Transport) -> None:
    """A peer that is gone without a word, such as a laptop that sleeps, takes room for two minutes and not for hours.

    TCP asks, not a ping of the WebSocket: scripts often read only when they expect something, and would not answer one.
    """
    connection = transport.get_extra_info("socket")
    for name, value in PROBES.items():
        if hasattr(tcp, name):
            connection.setsockopt(tcp.IPPROTO_TCP, getattr(tcp, name), value)


def _negotiates(client: Client, text: str) -> bool:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(data, dict) or data.get("type") != "feature_flags" or not isinstance(data.get("data"), dict):
        return False
    client.rich = data["data"].get("supports_preview_metadata") is True
    return True

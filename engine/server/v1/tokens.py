"""How a prompt is cut into tokens."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.routing import Answer, Strict, Table, read_body

table = Table("tokens")

CHUNK = 75
LONGEST_TEXT = 50_000
"""Characters: some tenths of a second of the worker, where a prompt is hardly ever longer than a thousand."""


class TokensRequest(Strict):
    """A prompt."""

    text: str = Field(max_length=LONGEST_TEXT)


class TokensAnswer(Answer):
    count: int = Field(description="Tokens in all, without start, end and padding.")
    size: int = Field(description="Tokens that one chunk takes.")
    chunks: list[list[int]] = Field(description="The ids, chunk by chunk. A prompt of several chunks is read by the text encoder in parts.")


@table.add("POST", "/tokens", body=TokensRequest, answer=TokensAnswer)
async def tokens(request: web.Request) -> web.Response:
    """The tokens of a prompt, as CLIP's text encoders read it. Words in brackets are weighed, not counted differently."""
    wanted = await read_body(request, TokensRequest)
    chunks = (await server_of(request).supervisor.ask("tokens", {"text": wanted.text}))["chunks"]
    return json_response({"count": sum(map(len, chunks)), "size": CHUNK, "chunks": chunks})

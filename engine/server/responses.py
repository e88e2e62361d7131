"""Answers: JSON, errors in the form of each face, and the headers that every answer carries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from engine.errors import BadRequest, EaselError
from engine.graph.limits import Limits
from engine.graph.strict_json import read_json
from engine.graph.wire import dump_json
from engine.log_lines import log_id
from engine.server.access import is_loopback
from engine.server.state import server_of

log = logging.getLogger("easel.server")

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends `Origin: null` with our own forms
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}
THREAD_BYTES = 200_000
LARGEST_INT = 2**63 - 1
"""What the job database can compare with."""
SANDBOX = "default-src 'none'; sandbox"
"""The policy of files that came from outside: shown, they may do nothing."""


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """Do work on a body of this size: in a thread when it is large, so that others need not wait."""
    return await asyncio.to_thread(work) if size > THREAD_BYTES else work()


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def json_response(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=dump_json(data), status=status, content_type="application/json", charset="utf-8")


def not_modified(request: web.Request, tag: str) -> bool:
    """Whether the client says that it has the answer with this ETag."""
    return any(given.value in (tag, "*") for given in request.if_none_match or ())


def tagged_json(request: web.Request, body: bytes, tag: str) -> web.Response:
    """JSON with its ETag; 304 for a client that has it."""
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if not_modified(request, tag):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)
    compress_for_others(request, response)
    return response


def compress_for_others(request: web.Request, response: web.StreamResponse) -> None:
    """A page on this machine has a text sooner as it is; over a network the smaller one is sooner there."""
    if not is_loopback(request.remote or ""):
        response.enable_compression()


def nothing() -> web.Response:
    """How ComfyUI's control routes answer."""
    return web.Response()


async def read_object(request: web.Request, limits: Limits | None = None) -> dict[str, Any]:
    """The body as a JSON object, whatever its content type says. Raises InvalidWorkflow or QuotaExceeded."""
    body, chosen = await request.read(), limits or server_of(request).limits
    value = await off_loop(len(body), lambda: read_json(body, chosen))
    if not isinstance(value, dict):
        raise BadRequest(f"The body is a JSON {type(value).__name__}, not an object", hint='Send {"...": ...}.')
    return value


@web.middleware
async def errors_to_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Typed errors become JSON with their status; anything else is logged and told without its details."""
    try:
        return await handler(request)
    except EaselError as error:
        if error.http_status >= 500:
            log.error("%s %s: %s", request.method, request.rel_url.raw_path, error)
        return error_response(error)
    except web.HTTPRequestEntityTooLarge as error:
        most = server_of(request).settings.max_body
        text = f"The body is larger than {most} bytes"
        return json_response({"error": {"code": "quota_exceeded", "message": text, "hint": "Send less, or raise max_body."}}, error.status)
    except web.HTTPException as error:
        if error.status < 400 or error.content_type == "application/json":
            raise
        return json_response({"error": {"code": "http", "message": f"{error.status}: {error.reason}", "hint": ""}}, error.status)
    except (ConnectionResetError, TimeoutError):
        raise
    except Exception:
        name = log_id()
        log.exception("Log id %s: %s %s failed", name, request.method, request.rel_url.raw_path)
        text = "The server met an error of its own; its log has the details"
        return json_response({"error": {"code": "internal", "message": text, "hint": "", "details": {"log_id": name}}}, 500)


def error_response(error: EaselError) -> web.Response:
    response = json_response({"error": error.to_json()}, error.http_status)
    if error.http_status == 503:
        response.headers["Retry-After"] = "2"
    if error.http_status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def query_int(request: web.Request, name: str, default: int | None = None) -> int | None:
    text = request.query.get(name)
    if text is None or text == "":
        return default
    try:
        number = int(text)
    except ValueError as error:
        raise BadRequest(f"{name} is {text[:40]!r}, not a whole number") from error
    if abs(number) > LARGEST_INT:
        raise BadRequest(f"{name} is larger than {LARGEST_INT}")
    return number

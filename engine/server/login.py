"""The page on which a browser gives the token, once; after that a cookie stands for it."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qs

from aiohttp import web

PATH = "/login"
PUBLIC = frozenset({"/style/theme.css", "/favicon.svg"})
"""What the page itself needs."""

FAILURE_SECONDS = 1.0
COOKIE_SECONDS = 30 * 24 * 3600
LONGEST_FORM = 10_000
"""Bytes. Anyone may send this form: what is longer, or says no length, is not read."""
PATIENCE_SECONDS = 10.0
"""How long is waited for the whole form."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Easel</title>
<link rel="stylesheet" href="style/theme.css"><link rel="icon" href="favicon.svg"></head>
<body class="login"><main><h1>Easel</h1>%s<form method="post" action="login">
<label>Token <input type="password" name="token" required autofocus autocomplete="current-password"></label>
<button>Open</button></form></main></body></html>
"""


def page(status: int, message: str = "") -> web.Response:
    text = _PAGE % (f"<p>{message}</p>" if message else "")
    return web.Response(text=text, content_type="text/html", status=status, headers={"Cache-Control": "no-store"})


async def answer(request: web.Request, token: str, cookie: str, value: str) -> web.StreamResponse:
    """POST with the right token sets the cookie. A wrong one is answered after a second, so that guessing is slow."""
    if request.method != "POST":
        return page(200)
    if not same(await _given(request), token):
        await asyncio.sleep(FAILURE_SECONDS)
        return page(401, "This is not the token.")
    response = web.Response(status=303, headers={"Location": "./"})
    response.set_cookie(cookie, value, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict", secure=request.secure, path="/")
    return response


def same(given: str, secret: str) -> bool:
    """Whether a text from outside, which may hold bytes that are no text, is the secret; takes as long for one guess as for another."""
    return hmac.compare_digest(given.strip().encode(errors="surrogatepass"), secret.encode())


async def _given(request: web.Request) -> str:
    if (request.content_length or LONGEST_FORM + 1) > LONGEST_FORM:
        return ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await request.read()
    except TimeoutError:
        return ""
    return parse_qs(body.decode(errors="replace")).get("token", [""])[0]

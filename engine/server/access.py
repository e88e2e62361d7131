"""Who may talk to the server: the Host allow-list, foreign origins, the token. Applies to every request, the WebSocket included.

A web page elsewhere must not be able to use a server on this machine: neither by a form or a script (its Origin is foreign), nor by a
name that it makes point here (the Host is not one of ours).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from engine.errors import Forbidden, InvalidSettings, Unauthorized
from engine.server import login
from engine.settings import Settings

COOKIE = "easel_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


def check_settings(settings: Settings) -> None:
    """Raises InvalidSettings for an address that others can reach without a token."""
    if settings.token is None and not is_loopback(settings.host):
        raise InvalidSettings(
            f"host is {settings.host}, which other machines can reach, and there is no token",
            hint="Set EASEL_TOKEN to a long random text (16 characters or more), or listen on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def session_cookie(token: str) -> str:
    """What the cookie of a browser that gave the token holds; the token cannot be read from it."""
    return hmac.new(token.encode(), b"easel session", hashlib.sha256).hexdigest()


def guard(settings: Settings) -> Middleware:
    """The middleware."""
    token = settings.token.get_secret_value() if settings.token is not None else None
    names = {settings.host.lower(), *(name.lower() for name in settings.allowed_hosts)} | LOOPBACK_NAMES

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_host(request, names)
        if request.method not in SAFE_METHODS or request.headers.get("Upgrade", "").lower() == "websocket":
            _check_origin(request)
        elif request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":  # another page may lead here, and load nothing of it
            _check_site(request)
        if token is not None and not _is_known(request, token):
            if request.path in login.PUBLIC:
                return await handler(request)
            if request.path == login.PATH:
                return await login.answer(request, token, COOKIE, session_cookie(token))
            if request.path == "/" and request.method == "GET":
                return login.page(401)
            raise Unauthorized("This server needs a token", hint="Send `Authorization: Bearer TOKEN`, or open / in a browser to log in.")
        return await handler(request)

    return middleware


def _check_host(request: web.Request, names: set[str]) -> None:
    """A plain address cannot be a name that somebody made point here; other names must be known."""
    host = _host_of(f"//{request.headers.get('Host', '')}")
    if host is None:
        raise Forbidden("The request names no host", hint="Send a Host header.")
    if host in names:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise Forbidden(
            f"The host {host[:100]!r} is not one of this server's names",
            hint="Add it to the setting allowed_hosts if you reach the server by this name.",
        ) from None


def _check_origin(request: web.Request) -> None:
    """A browser says from which page a request comes; programs that are no browsers say nothing."""
    _check_site(request)
    origin = request.headers.get("Origin")
    if origin is not None and not _same_place(origin, request.headers["Host"]):
        raise Forbidden(f"The request comes from the page {origin[:100]!r}", hint="Use the pages of this server, or a program.")


def _check_site(request: web.Request) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in OWN_SITES:
        raise Forbidden(f"The request comes from another site ({site[:40]})", hint="Use the pages of this server, or a program.")


def _is_known(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and login.same(given, token):
        return True
    return login.same(request.cookies.get(COOKIE, ""), session_cookie(token))


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _same_place(origin: str, host: str) -> bool:
    """Whether an Origin (`null` is none of ours) and a Host mean the same server; a proxy may have taken off https and its port."""
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
        ports = {page.port, own.port}
    except ValueError:
        return False
    return page.scheme in ("http", "https") and page.hostname == own.hostname and (len(ports) == 1 or ports <= {None, 80, 443})

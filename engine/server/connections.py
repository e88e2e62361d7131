"""Connections on which nobody asks anything. Anyone who reaches the port can open them, also without a token: they are few and not for
long, so that there is room for those who ask."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger("easel.server")

MOST_SILENT = 100
SILENT_SECONDS = 30.0
KEPT_SECONDS = 75.0
"""How long a connection stays open after an answer for another question."""
LOOK_SECONDS = 0.5
MOST_FILES = 65_536


class Silence:
    """Who has asked nothing yet. `heard` is the middleware that hears those who do."""

    def __init__(self) -> None:
        self._heard: set[web.RequestHandler] = set()
        self._silent: dict[web.RequestHandler, float] = {}

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._heard.add(request.protocol)
        return await handler(request)

    async def watch(self, server: web.Server) -> None:
        """Until it is cancelled."""
        while True:
            self.close_some(server.connections, time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    def close_some(self, connections: Iterable[web.RequestHandler], now: float) -> None:
        """Close those that have been silent for too long, and of too many the oldest. connections: all that are open; now: seconds.

        Those that are new since the last look do not count yet: when hundreds of clients come at once, none of them had time to ask.
        """
        found = list(connections)
        self._heard.intersection_update(found)
        self._silent = {one: self._silent.get(one, now) for one in found if one not in self._heard}
        waiting = [one for one, since in self._silent.items() if since < now]  # in the order in which they came
        excess = set(waiting[: max(0, len(waiting) - MOST_SILENT)])
        for one, since in self._silent.items():
            if one in excess or since <= now - SILENT_SECONDS:
                one.force_close()


def allow_many() -> None:
    """Let this process open as many files as the system lets it without asking: few systems begin with more than 1,024, macOS with 256."""
    if sys.platform == "win32":
        return
    import resource

    own, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if own != resource.RLIM_INFINITY and own < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        except (ValueError, OSError) as error:  # macOS has a limit of its own below the one that it tells
            log.info("No more than %d files may be open at a time: %s", own, error)

"""The address of the server: taken before anything else is started, so that a taken one costs nothing and starts no worker."""

from __future__ import annotations

import asyncio
import errno
import socket

from engine.errors import InvalidSettings
from engine.jobs.lock import DataLock
from engine.settings import Settings


async def listen(settings: Settings) -> list[socket.socket]:
    """Sockets at the settings' address; who connects waits until something serves them. A name may stand for several addresses.

    Raises InvalidSettings for an address that cannot be had, Conflict when it is Easel that has it, at work in the same data folder.
    """
    sockets: list[socket.socket] = []
    try:
        bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, settings.host, settings.port, start_serving=False)
        sockets = [one.dup() for one in bound.sockets]
        bound.close()
        for one in sockets:
            one.listen()  # two processes may be bound to an address, of which one listens
    except OSError as error:
        for one in sockets:
            one.close()
        where = f"{settings.host}:{settings.port}"
        if error.errno != errno.EADDRINUSE:
            raise InvalidSettings(f"The address {where} cannot be used: {error.strerror}", hint="Give another --host or --port.") from error
        DataLock(settings.data).close()  # the likeliest reason, which it says better
        raise InvalidSettings(
            f"The address {where} is taken by another program.", hint="End it, or give another --port; 0 takes a free one."
        ) from error
    return sockets


def url_of(host: str, port: int) -> str:
    """What to open in a browser of this machine."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

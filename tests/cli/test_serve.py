"""`easel serve`: an address that cannot be had is told at once, before anything is started."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Conflict, InvalidSettings
from engine.jobs.lock import DataLock
from engine.server.listening import listen
from engine.settings import load


@pytest.fixture
def taken() -> Iterator[int]:
    """The port of another program."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_told_before_a_worker_or_a_queue_is_there(tmp_path: Path, taken: int) -> None:
    serve = [sys.executable, "server.py", "--data", str(tmp_path / "data"), "--port", str(taken)]
    done = subprocess.run(serve, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stdout == ""
    assert f"127.0.0.1:{taken} is taken by another program" in done.stderr and "--port" in done.stderr
    assert not (tmp_path / "data" / "state" / "jobs.db").exists()


def test_that_it_is_easel_itself_which_has_the_port_is_said(tmp_path: Path, taken: int) -> None:
    lock = DataLock(tmp_path)
    with pytest.raises(Conflict, match="Another Easel works in"):
        asyncio.run(listen(load(data=tmp_path, port=taken)))
    lock.close()
    with pytest.raises(InvalidSettings, match="another program"):
        asyncio.run(listen(load(data=tmp_path, port=taken)))


def test_of_two_that_start_at_the_same_time_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are bound when the other one listens first."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        bind = asyncio.BaseEventLoop.create_server

        async def slowly(*arguments: Any, **named: Any) -> asyncio.Server:
            bound = await bind(*arguments, **named)
            other.listen()
            return bound

        monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", slowly)
        with pytest.raises(InvalidSettings, match="taken by another program"):
            asyncio.run(listen(load(data=tmp_path, port=other.getsockname()[1])))


def test_an_address_of_another_machine_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"192\.0\.2\.1:8188 cannot be used"):
        asyncio.run(listen(load(data=tmp_path, host="192.0.2.1", port=8188, token="x" * 20)))


def test_who_connects_early_waits(tmp_path: Path) -> None:
    async def connect() -> None:
        [server] = await listen(load(data=tmp_path, port=0))
        _, writer = await asyncio.open_connection(*server.getsockname())
        writer.close()
        server.close()

    asyncio.run(connect())

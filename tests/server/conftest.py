"""Servers for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.server.serving import Api, make_data, serving


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One server for all tests of a module: a worker takes its time to start."""
    async with serving(make_data(tmp_path_factory.mktemp("shared") / "data"), allowed_hosts=("my.box",)) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def api(shared: Api) -> AsyncIterator[Api]:
    """The shared server, with nothing in its queue and its history."""
    yield shared
    await shared.json("POST", "/queue", data='{"clear": true}')
    await shared.json("POST", "/api/v1/queue/resume")
    await shared.json("POST", "/interrupt")
    async with asyncio.timeout(300):
        while (await shared.json("GET", "/queue"))["queue_running"]:
            await asyncio.sleep(0.01)
    await shared.json("POST", "/history", data='{"clear": true}')
    await shared.json("POST", "/free", data='{"free_memory": true}')

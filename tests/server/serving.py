"""A server in the process of the tests, with a real worker process and trivial nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from engine.jobs.worker_process import COMMAND
from engine.server.app import create_app
from engine.settings import Settings

PACK = '''
import os
import signal
import time
from typing import Literal

from engine.errors import Preempted
from engine.graph import Alias, Blocked, Context, MigrationInfo, Shown, Variadic, node


@node("Add", category="test", aliases=(Alias("ComfyAdd", inputs={"left": "a", "right": "b"}),))
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


SINCE_2 = MigrationInfo(version="2.0.0", rename={"number": "value"}, values={"sign": {"+": "plus", "-": "minus"}}, defaults={"times": 2})


@node("Times", category="test", version="2.0.0", migrations=(SINCE_2,))
def times(value: int, times: int = 1, sign: Literal["plus", "minus"] = "plus") -> int:
    """Multiply a number, which in older versions was called otherwise and was doubled."""
    return value * times * (1 if sign == "plus" else -1)


@node("Words", category="test")
def words(text: str = "words") -> str:
    """Give a text."""
    return text


@node("Show", category="test", output_node=True)
def show(values: Variadic[int]) -> Shown:
    """Show the sum of all numbers."""
    return Shown({"text": [str(sum(values))]})


@node("Record", category="test", output_node=True)
def record(name: str) -> Shown:
    """Show a file of output."""
    return Shown({"images": [{"filename": name, "subfolder": "deep", "type": "output"}]})


@node("Wait", category="test", cache="always_run")
def wait(ctx: Context, seconds: float = 60.0, steps: int = 0, a: int = 0) -> int:
    """Wait, in steps that can be cancelled."""
    for step in range(steps or int(seconds * 100)):
        ctx.progress(step + 1, steps or int(seconds * 100), b"\\xff\\xd8 a picture")
        time.sleep(0.01)
    return a


@node("Train", category="test", grad=True)
def train(ctx: Context, steps: int = 30, start: int = 1) -> int:
    """Take steps that each build on the one before, and note them in a file; stay at the third one while there is a file `hold`."""
    step, value = ctx.checkpoint.load() or (0, start)
    while step < steps and not ctx.checkpoint.finish:
        try:
            ctx.progress(step, steps)
            while step == 2 and (ctx.folders.output / "hold").exists() and not ctx.checkpoint.finish:
                (ctx.folders.output / "held").touch()
                time.sleep(0.01)
                ctx.progress(step, steps)
        except Preempted:
            ctx.checkpoint.save((step, value))
            raise
        with (ctx.folders.output / "steps.txt").open("a") as file:
            file.write(f"{step} ")
        value = (value * 31 + step) % 1_000_003
        step += 1
    return value


@node("Fill", category="test", lane="device", cache="always_run")
def fill(megabytes: int = 200, a: int = 0) -> int:
    """Take memory, and let go of it."""
    taken = b"x" * (megabytes << 20)
    return len(taken) >> 20


@node("Sleep", category="test", cache="always_run")
def sleep(seconds: float = 60.0) -> int:
    """Sleep without looking at anything."""
    time.sleep(seconds)
    return 1


@node("Fail", category="test")
def fail(text: str = "it does not work", a: int = 0) -> int:
    """Raise."""
    raise ValueError(text)


@node("Die", category="test", cache="always_run")
def die(a: int = 0) -> int:
    """End the process."""
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
    return a


@node("Block", category="test")
def block(message: str = "not today") -> int | Blocked:
    """Block what follows."""
    return Blocked(message)
'''


def chain(length: int, start: int = 0) -> dict[str, Any]:
    """A line of additions and a node that shows the last."""
    graph: dict[str, Any] = {"0": {"class_type": "Add", "inputs": {"a": start, "b": 1}}}
    for number in range(1, length):
        graph[str(number)] = {"class_type": "Add", "inputs": {"a": [str(number - 1), 0], "b": 1}}
    graph["show"] = {"class_type": "Show", "inputs": {"values0": [str(length - 1), 0]}}
    return graph


DEFAULTS: dict[str, dict[str, Any]] = {
    "Wait": {"seconds": 60.0, "steps": 0, "a": 0},
    "Sleep": {"seconds": 60.0},
    "Train": {"steps": 30, "start": 1},
    "Fail": {"text": "it does not work", "a": 0},
    "Die": {"a": 0},
    "Fill": {"megabytes": 200, "a": 0},
    "Block": {"message": "not today"},
}


def one(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node and a node that shows what it gives."""
    return {
        "node": {"class_type": class_type, "inputs": {**DEFAULTS[class_type], **inputs}},
        "show": {"class_type": "Show", "inputs": {"values0": ["node", 0]}},
    }


class Api(TestClient):
    """A client of the test server, with what tests do often."""

    settings: Settings

    async def json(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        async with self.request(method, path, **options) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if text else None

    async def queue(self, prompt: dict[str, Any], status: int = 200, **more: Any) -> Any:
        return await self.json("POST", "/prompt", status, data=json.dumps({"prompt": prompt, **more}))

    async def entry(self, prompt_id: str) -> dict[str, Any]:
        """The history entry of a job, once it is over."""
        async with asyncio.timeout(300):
            while not (found := await self.json("GET", f"/history/{prompt_id}")):
                await asyncio.sleep(0.01)
        return found[prompt_id]

    async def run(self, prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
        return await self.entry((await self.queue(prompt, **more))["prompt_id"])

    async def until_running(self, job_id: str) -> None:
        """Until the job's first node is at work."""
        async with asyncio.timeout(300):
            while True:
                progress = (await self.json("GET", f"/api/v1/jobs/{job_id}"))["progress"]
                if progress is not None and (progress["done"] or progress["nodes"]):
                    return
                await asyncio.sleep(0.01)


def make_data(folder: Path) -> Path:
    """A data folder with the trivial nodes."""
    pack = folder / "custom_nodes"
    pack.mkdir(parents=True)
    (pack / "tests_pack.py").write_text(PACK)
    return folder


@asynccontextmanager
async def serving(data: Path, *, worker: Sequence[str] = COMMAND, **settings: Any) -> AsyncIterator[Api]:
    """A server with these settings, and another command as its worker if asked for."""
    chosen = Settings(**{"data": data, "packages": (), "cancel_grace": 0.5, **settings})
    async with Api(TestServer(create_app(chosen, worker=worker))) as client:
        client.settings = chosen
        yield client

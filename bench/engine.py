"""Cost of the engine itself: chains and fans of trivial nodes through the HTTP API, first run and repeat.

    python -m bench.engine [--sizes 100,500,2000,10000,100000] [--shapes chain,fan]

Starts a server of its own on a free port with an empty data folder, posts each graph to /prompt with a WebSocket open, and measures from
the POST to the message that ends the job. The repeat posts the same graph again. Prints seconds, microseconds per node, bytes over the
WebSocket, and memory of both processes; then the cost per node at each size against that at 2,000 nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
NODES = '''
from engine.graph import Shown, Variadic, node


@node("BenchAdd", category="bench")
def add(a: int = 0, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@node("BenchSink", category="bench", output_node=True)
def sink(values: Variadic[int]) -> Shown:
    """Show the sum of all numbers."""
    return Shown({"text": [str(sum(values))]})
'''
REFERENCE = (
    "ComfyUI 0.3.64 for comparison, measured elsewhere: chain of 500 14.6 s and 14.6 s again; fan of 2,000 14.7 s; chain of 1,000 refused."
)
BASE = 2_000
HEADINGS = ("graph", "nodes", "first s", "us/node", "x 2,000", "repeat s", "us/node", "x 2,000", "WS B/node", "server MB", "worker MB")


def chain(size: int, start: int) -> dict[str, Any]:
    """A line of additions, each of which needs the one before."""
    prompt: dict[str, Any] = {"0": {"class_type": "BenchAdd", "inputs": {"a": start, "b": 1}}}
    for index in range(1, size - 1):
        prompt[str(index)] = {"class_type": "BenchAdd", "inputs": {"a": [str(index - 1), 0], "b": 1}}
    prompt["sink"] = {"class_type": "BenchSink", "inputs": {"values0": [str(size - 2), 0]}}
    return prompt


def fan(size: int, start: int) -> dict[str, Any]:
    """Additions that all need the same first one, and one node that needs them all."""
    prompt: dict[str, Any] = {"0": {"class_type": "BenchAdd", "inputs": {"a": start, "b": 1}}}
    for index in range(1, size - 1):
        prompt[str(index)] = {"class_type": "BenchAdd", "inputs": {"a": ["0", 0], "b": index}}
    links = {f"values{index - 1}": [str(index), 0] for index in range(1, size - 1)}
    prompt["sink"] = {"class_type": "BenchSink", "inputs": links}
    return prompt


SHAPES = {"chain": chain, "fan": fan}


@dataclass(frozen=True)
class Run:
    seconds: float
    posted: float
    socket_bytes: int


@dataclass(frozen=True)
class Row:
    shape: str
    size: int
    first: Run
    repeat: Run
    server_mb: float
    worker_mb: float


class Engine:
    """A running server, seen as a ComfyUI client sees it."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, process: psutil.Process) -> None:
        self._session, self._socket, self._process = session, socket, process

    async def run(self, prompt: dict[str, Any]) -> Run:
        body = json.dumps({"prompt": prompt, "client_id": "bench"}).encode()
        start = time.perf_counter()
        async with self._session.post("/prompt", data=body) as response:
            answer = await response.json()
            posted = time.perf_counter() - start
            if response.status != 200:
                raise RuntimeError(f"refused: {json.dumps(answer)[:500]}")
        received = await self._until_done(answer["prompt_id"])
        seconds = time.perf_counter() - start
        async with self._session.get(f"/history/{answer['prompt_id']}") as response:
            entry = (await response.json())[answer["prompt_id"]]
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(f"failed: {entry['status']}")
        return Run(seconds, posted, received)

    async def _until_done(self, prompt_id: str) -> int:
        received = 0
        async for message in self._socket:
            received += len(message.data)
            if message.type == aiohttp.WSMsgType.TEXT and '"executing"' in message.data:
                event = json.loads(message.data)
                if event["type"] == "executing" and event["data"]["node"] is None and event["data"].get("prompt_id") == prompt_id:
                    return received
        raise RuntimeError("the server closed the WebSocket")

    def memory(self) -> tuple[float, float]:
        """Resident megabytes of the server and of its worker."""
        workers = self._process.children(recursive=True)
        return self._process.memory_info().rss / 1e6, sum(worker.memory_info().rss for worker in workers) / 1e6


@asynccontextmanager
async def engine() -> AsyncIterator[Engine]:
    """A server with the two nodes above, on a free port."""
    data = Path(tempfile.mkdtemp(prefix="easel-bench-"))
    pack = data / "custom_nodes" / "bench_nodes"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(NODES)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = await asyncio.create_subprocess_exec(sys.executable, str(ROOT / "server.py"), "--data", str(data), "--port", str(port))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(total=1800)) as session:
            await _ready(session)
            async with session.ws_connect("/ws?clientId=bench", max_msg_size=0) as messages:
                yield Engine(session, messages, psutil.Process(server.pid))
    finally:
        server.send_signal(signal.SIGTERM)
        await server.wait()
        shutil.rmtree(data, ignore_errors=True)


async def _ready(session: aiohttp.ClientSession) -> None:
    for _ in range(600):
        try:
            async with session.get("/object_info/BenchAdd") as response:
                if await response.json():
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the server did not come up")


async def measure(shapes: list[str], sizes: list[int]) -> list[Row]:
    rows = []
    async with engine() as running:
        await running.run(chain(10, -1))  # the first job ever also starts threads and opens files
        for shape in shapes:
            for size in sizes:
                prompt = SHAPES[shape](size, start=size)
                rows.append(Row(shape, size, await running.run(prompt), await running.run(prompt), *running.memory()))
                print(f"{shape} {size}: {rows[-1].first.seconds:.3f} s, again {rows[-1].repeat.seconds:.3f} s", flush=True)
    return rows


def report(rows: list[Row]) -> None:
    table = Table(title="From POST to done")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in rows:
        base = next((other for other in rows if other.shape == row.shape and other.size == BASE), None)
        cells = [row.shape, f"{row.size:,}"]
        for name in ("first", "repeat"):
            seconds = getattr(row, name).seconds
            ratio = f"{seconds / row.size / (getattr(base, name).seconds / base.size):.2f}" if base else ""
            cells += [f"{seconds:.3f}", f"{seconds / row.size * 1e6:.1f}", ratio]
        table.add_row(*cells, f"{row.first.socket_bytes / row.size:.0f}", f"{row.server_mb:.0f}", f"{row.worker_mb:.0f}")
    Console(width=140).print(table)
    print(REFERENCE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="100,500,2000,10000,100000")
    parser.add_argument("--shapes", default="chain,fan")
    options = parser.parse_args()
    report(asyncio.run(measure(options.shapes.split(","), [int(size) for size in options.sizes.split(",")])))


if __name__ == "__main__":
    main()

"""A typed asynchronous client of /api/v1.

async with Client("http://127.0.0.1:8188") as client:
    job = await client.submit(workflow)
    async for event in client.events(job.id):
        print(event["type"])
    job = await client.job(job.id)
    for record in job.files:
        await client.download(record, folder / record["filename"])
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from engine.errors import EaselError, InvalidWorkflow, Problem

OVER = frozenset({"succeeded", "failed", "cancelled", "parked"})
LONGEST_EVENT = 32 * 2**20
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class JobView:
    """A job as the server told it. outputs: what each output node shows; failures: the error of each node that failed."""

    id: str
    state: str
    reason: str = ""
    attempt: int = 0
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def files(self) -> list[dict[str, str]]:
        """The records of all files that the job shows."""
        shown = [item for ui in self.outputs.values() for items in ui.values() if isinstance(items, list) for item in items]
        return [item for item in shown if isinstance(item, dict) and "filename" in item]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> JobView:
        return cls(
            data["id"],
            data["state"],
            data["reason"],
            data["attempt"],
            data.get("outputs") or {},
            data.get("failures") or [],
            dict(data),
        )


class RequestFailed(EaselError):
    """The server refused a request; `code`, `message` and `hint` are its own."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", f"status {status}")), hint=str(error.get("hint", "")), details=error.get("details"))
        self.status = status
        self.reported_code = str(error.get("code", ""))


class Client:
    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(url.rstrip("/") + "/api/v1/", headers=headers, timeout=timeout, read_bufsize=LONGEST_EVENT)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def submit(
        self,
        workflow: Mapping[str, Any],
        *,
        id: str | None = None,
        targets: Sequence[str] | None = None,
        front: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> JobView:
        """Queue a workflow. Raises InvalidWorkflow with every problem; with an `id`, asking again gives the same job."""
        body: dict[str, Any] = {"workflow": workflow, "front": front, "extra": dict(extra or {})}
        if id is not None:
            body["id"] = id
        if targets is not None:
            body["targets"] = list(targets)
        return JobView.of(await self._json("POST", "jobs", json=body))

    async def job(self, id: str) -> JobView:
        return JobView.of(await self._json("GET", f"jobs/{quote(id, safe='')}"))

    async def cancel(self, id: str) -> JobView:
        return JobView.of(await self._json("POST", f"jobs/{quote(id, safe='')}/cancel"))

    async def pause(self, id: str) -> JobView:
        """Keep a waiting job from starting, or stop the running one at its next step; `release` lets it go on from there."""
        return JobView.of(await self._json("POST", f"jobs/{quote(id, safe='')}/pause"))

    async def release(self, id: str) -> JobView:
        return JobView.of(await self._json("POST", f"jobs/{quote(id, safe='')}/release"))

    async def finish(self, id: str) -> JobView:
        """Let a training that runs end at its next step with what it has learned."""
        return JobView.of(await self._json("POST", f"jobs/{quote(id, safe='')}/finish"))

    async def wait(self, id: str) -> JobView:
        """Until the job is over."""
        async for _ in self.events(id):
            pass
        return await self.job(id)

    async def events(self, id: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Events of the job with a number greater than `after`, until it is over. A lost connection is taken up where it broke."""
        while True:
            try:
                async for event in self._stream(id, after):
                    after = event["sequence"]
                    yield event
                return
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await asyncio.sleep(RETRY_SECONDS)

    async def download(self, record: Mapping[str, str], path: Path) -> Path:
        """Write a file that a job shows (a record with filename, subfolder, type) to `path`."""
        name = f"{record['subfolder']}/{record['filename']}" if record.get("subfolder") else record["filename"]
        async with self._session.get(f"files/{record['type']}/{quote(name)}") as response:
            await _check(response)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                async for chunk in response.content.iter_chunked(1 << 20):
                    file.write(chunk)
        return path

    async def upload(self, name: str, data: bytes, *, overwrite: bool = False) -> dict[str, str]:
        """Store a file of input; the record that comes back has the name that it got."""
        query = {"overwrite": "true" if overwrite else "false"}
        return dict(await self._json("PUT", f"files/input/{quote(name)}", data=data, params=query))

    async def _stream(self, id: str, after: int) -> AsyncIterator[dict[str, Any]]:
        headers = {"Accept": "text/event-stream"}
        async with self._session.get(f"jobs/{quote(id, safe='')}/events", params={"after": after}, headers=headers) as response:
            await _check(response)
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        async with self._session.request(method, path, **options) as response:
            await _check(response)
            return await response.json()


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    try:
        error = (await response.json())["error"]
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
        error = {"message": f"The server answered {response.status} {response.reason}"}
    problems = (error.get("details") or {}).get("problems")
    if problems:
        raise InvalidWorkflow([Problem(**problem) for problem in problems])
    raise RequestFailed(response.status, error)

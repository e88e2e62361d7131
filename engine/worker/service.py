"""The worker process: takes jobs from the pipe and runs them one after the other."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from engine.errors import EaselError
from engine.graph import garbage
from engine.graph.cancel import CancelToken
from engine.graph.events import Event, JobFinished, NodeFailedEvent
from engine.graph.wire import Frame, decode_graph, dump_json
from engine.log_lines import about, log_id, log_to
from engine.settings import Settings
from engine.worker.channel import Alive, Channel, EventSender
from engine.worker.questions import QUESTIONS
from engine.worker.runtime import Runtime

log = logging.getLogger("easel.worker")
node_log = logging.getLogger("easel.node")

LEAVE_SECONDS = 4.0
_REQUESTS = {"cancel": CancelToken.cancel, "give_way": CancelToken.give_way, "finish": CancelToken.finish}
"""What is asked of a job that runs or is about to."""


class Service:
    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._runtime = Runtime(settings)
        self._inbox: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._tokens: dict[str, CancelToken] = {}
        self._process = psutil.Process()
        self._answers = ThreadPoolExecutor(1, "easel-answers")

    async def run(self) -> None:
        """Until the server closes the pipe."""
        loop = asyncio.get_running_loop()
        Alive(self._channel, self._stats).start()
        self._channel.send({"type": "catalogue"}, (self._runtime.catalogue().model_dump_json().encode(),))
        threading.Thread(target=self._receive, args=(loop,), name="easel-receive", daemon=True).start()
        garbage.keep_what_is_there()
        for module, reason in self._runtime.registry.failures.items():
            log.error("The nodes of %s are not there: %s", module, reason)
        self._channel.send({"type": "ready", "about": self._runtime.about()})
        while (frame := await self._inbox.get()) is not None:
            await self._handle(frame)
        self._runtime.close()

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own, so that a cancel is heard while a node computes."""
        try:
            while True:
                frame = self._channel.receive()
                if frame.header["type"] in _REQUESTS:
                    token = self._tokens.get(frame.header["job"])
                    if token is not None:
                        _REQUESTS[frame.header["type"]](token)
                    continue
                if frame.header["type"] == "ask":
                    self._answers.submit(self._answer, frame)
                    continue
                if frame.header["type"] == "run":
                    job_id = frame.header["job"]["id"]
                    self._tokens[job_id] = CancelToken()
                    self._channel.send({"type": "taken", "job": job_id})  # from here on an end of this process is laid to the job
                loop.call_soon_threadsafe(self._inbox.put_nowait, frame)
        except EOFError:
            for token in list(self._tokens.values()):
                token.give_way()  # what runs is not cancelled: it goes on after the next start
            loop.call_soon_threadsafe(self._inbox.put_nowait, None)
            time.sleep(LEAVE_SECONDS)
            os._exit(0)  # a node that does not look at its token must not outlive the server

    def _answer(self, frame: Frame) -> None:
        header: dict[str, Any] = {"type": "answer", "id": frame.header["id"]}
        try:
            answer = dump_json(QUESTIONS[frame.header["kind"]](json.loads(frame.parts[0])))
        except Exception as error:  # the question's fault or ours: whoever asked is told, the worker goes on
            told = _describe(error)
            if not isinstance(error, EaselError):
                log.exception("Log id %s: the question %s could not be answered", told["details"]["log_id"], frame.header["kind"])
            self._channel.send({**header, "error": told})
        else:
            self._channel.send(header, (answer,))

    async def _handle(self, frame: Frame) -> None:
        match frame.header["type"]:
            case "run":
                await self._run_job(frame)
            case "free":
                self._runtime.free(models=frame.header["models"], cache=frame.header["cache"])
            case "forget":
                self._forget(frame.header["jobs"])

    def _forget(self, job_ids: list[str]) -> None:
        """What is not answered is asked again of the next worker."""
        try:
            self._runtime.cache.forget_jobs(job_ids)
        except (sqlite3.Error, OSError) as error:  # such as a full disk
            log.warning("The results of %d deleted jobs stay for now: %s", len(job_ids), error)
        else:
            self._channel.send({"type": "forgot", "jobs": job_ids})

    async def _run_job(self, frame: Frame) -> None:
        with about(frame.header["job"]["id"]):
            await self._run_about(frame)

    async def _run_about(self, frame: Frame) -> None:
        head, (graph, prompt, extra_json) = frame.header["job"], frame.parts
        extra = json.loads(extra_json)
        token = self._tokens[head["id"]]
        sender = EventSender(self._channel, head["id"], frame.header["sequence"])
        last = 0
        finished = False

        def emit(event: Event) -> None:
            nonlocal last, finished
            last = event.sequence
            finished = finished or isinstance(event, JobFinished)
            if isinstance(event, NodeFailedEvent):
                _log_failure(event)
            sender.emit(event)

        try:
            job = self._runtime.job(head["id"], head["client_id"], json.loads(prompt), extra)
            await self._runtime.executor.run(
                decode_graph(graph),
                head["targets"],
                job=job,
                emit=emit,
                cancel=token,
                attempt=head["attempt"],
                workflow=_workflow_name(extra),
            )
            if not finished:
                raise RuntimeError("the run ended, but its end was not told")
        except Exception as error:  # a fault of the engine itself: the job fails, the worker goes on
            told = _describe(error)
            log.exception("Log id %s: the job could not be run", told["details"].setdefault("log_id", log_id()))
            if not finished:
                emit(JobFinished(job_id=head["id"], sequence=last + 1, time=time.time(), state="failed", error=told))
        finally:
            sender.close()
            if self._tokens.get(head["id"]) is token:  # else the same id was deleted and submitted anew meanwhile
                del self._tokens[head["id"]]

    def _stats(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "memory": self._process.memory_info().rss,
            "device": self._runtime.device_stats(),
            "cache": self._runtime.cache.stats(),
        }


def _workflow_name(extra: dict[str, Any]) -> str:
    """By what the runs of one workflow know each other, for the comparison with the last run: the id that editors give a workflow."""
    workflow = (extra.get("extra_pnginfo") or {}).get("workflow")
    return str(workflow.get("id") or "") if isinstance(workflow, dict) else ""


def _describe(error: Exception) -> dict[str, Any]:
    if isinstance(error, EaselError):
        return error.to_json()
    text = "".join(traceback.format_exception_only(error)).strip()
    details = {"log_id": log_id()}
    return EaselError(f"The engine met an error of its own: {text}", hint="The log has the details.", details=details).to_json()


def _log_failure(event: NodeFailedEvent) -> None:
    """Errors that are raised on purpose say what to do; of others the log says where in the code."""
    error = event.error or {}
    lines = "" if event.exception_type.startswith(f"{EaselError.__module__}.") else "".join(event.traceback)
    with about(event.job_id, event.display_id):
        hint = f" {error['hint']}" if error["hint"] else ""
        node_log.error("%s", f"Log id {error['details']['log_id']}: {error['message']}{hint}\n{lines}".rstrip())


def main() -> None:
    channel = Channel()
    hello = channel.receive()
    settings = Settings.model_validate_json(hello.header["settings"])
    log_to(sys.stderr, settings.log_level)
    garbage.collect_rarely()
    asyncio.run(Service(channel, settings).run())

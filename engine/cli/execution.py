"""Running one workflow: reading it, finding who computes it, showing how it goes, printing what came out."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import typer

from engine.cli.progress import RunDisplay
from engine.errors import Conflict, MissingFile
from engine.graph.folders import Folders
from engine.graph.limits import Limits
from engine.graph.saving import save_new
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.client import JobView
    from engine.graph.cancel import CancelToken


def run_workflow(settings: Settings, workflow: Workflow, out: Path | None) -> bool:
    """Run a workflow and print the paths of what it wrote. True when every node that should run did."""
    from engine.address import find_server
    from engine.jobs.lock import DataLock

    try:
        lock = DataLock(settings.data)
    except Conflict:
        url = find_server(settings.data)
        if url is None:
            raise
        return _run_on_server(settings, url, workflow, out)
    with closing(lock):
        return _run_here(settings, workflow, out)


def read_workflow(path: Path, limits: Limits) -> Workflow:
    """The workflow of a file. Raises MissingFile, and what `parse_document` raises."""
    try:
        return parse_document(path.read_bytes(), limits)
    except OSError as error:
        raise MissingFile(f"{path} cannot be read: {error.strerror}") from error


def _labels(workflow: Workflow) -> dict[str, str]:
    return {id: str(entry.meta.get("title") or f"{entry.class_type} {id}") for id, entry in workflow.nodes.items()}


def _run_here(settings: Settings, workflow: Workflow, out: Path | None) -> bool:
    from engine.graph.api_format import api_prompt
    from engine.graph.cancel import CancelToken
    from engine.graph.validation import validate
    from engine.worker.runtime import build

    with closing(build(settings, output=out)) as runtime:
        catalogue = runtime.catalogue()
        limits = Limits.of(settings)
        graph = workflow.flatten(catalogue, limits)
        validated = validate(graph, catalogue, strict=workflow.source != "api", limits=limits)
        validated.raise_for_problems()
        prompt = api_prompt(validated.graph, catalogue)
        job = replace(runtime.job(uuid.uuid4().hex, "", prompt, {"easel": workflow.to_json()}), preview_size=0)
        cancel = CancelToken()
        with RunDisplay(_labels(workflow)) as display, _interrupting(cancel.give_way):
            outcome = asyncio.run(
                runtime.executor.run(
                    validated.graph, validated.outputs, job=job, emit=lambda event: display.show(event.to_json()), cancel=cancel
                )
            )
        _print_results(outcome.ui.values(), runtime.folders)
    return outcome.state == "succeeded"


def _run_on_server(settings: Settings, url: str, workflow: Workflow, out: Path | None) -> bool:
    """Let the server that has the data folder open do it. Its files lie in the data folder; with `out` they are copied there."""
    from engine.graph.cancel import CancelToken

    typer.echo(f"the server at {url} has the data folder open and runs it", err=True)
    cancel = CancelToken()
    with RunDisplay(_labels(workflow)) as display, _interrupting(cancel.cancel):
        job = asyncio.run(_follow(settings, url, workflow, display, cancel))
    folders = Folders.of(settings)
    if job.state != "succeeded" and not job.failures:
        typer.echo(f"the job {job.id} {job.state}: {job.reason}", err=True)
    _print_results(job.outputs.values(), folders, out)
    return job.state == "succeeded"


async def _follow(settings: Settings, url: str, workflow: Workflow, display: RunDisplay, cancel: CancelToken) -> JobView:
    """Submit, show every event, cancel when asked to; the job when it is over."""
    from engine.client import Client

    token = settings.token.get_secret_value() if settings.token else None
    document = workflow.to_json()
    async with Client(url, token) as client:
        job = await client.submit(document["nodes"] if workflow.source == "api" else document)
        loop = asyncio.get_running_loop()

        def cancel_job() -> None:
            asyncio.run_coroutine_threadsafe(client.cancel(job.id), loop)

        cancel.on_cancel(cancel_job)
        async for event in client.events(job.id):
            display.show(event)
        return await client.job(job.id)


@contextmanager
def _interrupting(stop_run: Callable[[], None]) -> Iterator[None]:
    """Ctrl+C asks the run to stop at its next step; a second one ends the process. A training that runs here goes on when run again."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        typer.echo("stopping after this step; Ctrl+C again ends at once", err=True)
        stop_run()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_results(shown: Iterable[Mapping[str, Any]], folders: Folders, out: Path | None = None) -> None:
    """Prints what output nodes show: the path of each file (of its copy in `out`), and texts as they are."""
    for item in chain.from_iterable(items for ui in shown for items in ui.values()):
        if isinstance(item, Mapping) and "filename" in item:
            path = folders.resolve(item["type"], str(PurePosixPath(item["subfolder"], item["filename"])))
            typer.echo(path if out is None else _copy(path, item["subfolder"], out))
        elif isinstance(item, str):
            typer.echo(item)


def _copy(path: Path, subfolder: str, out: Path) -> Path:
    """Copy a file under the next free number of its name."""

    def write(new: Path) -> None:
        shutil.copyfile(path, new)

    name = re.sub(r"_\d+_$", "", path.stem)
    return save_new(out.absolute(), str(PurePosixPath(subfolder, name)), path.suffix, write)

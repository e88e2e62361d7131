"""Running one workflow: reading it, finding who computes it, showing how it goes, printing what came out."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import typer

from engine.cli.assignments import assign
from engine.cli.progress import RunDisplay
from engine.errors import MissingFile
from engine.graph.folders import Folders
from engine.graph.limits import Limits
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.settings import Settings


def run_workflow(settings: Settings, path: Path, assignments: list[str], out: Path | None) -> bool:
    """Run the workflow of a file and print the paths of what it wrote. True when every node that should run did."""
    from engine.jobs.lock import DataLock

    workflow = _read(path, Limits.of(settings))
    assign(workflow, assignments)
    lock = DataLock(settings.data)
    with closing(lock):
        return _run_here(settings, workflow, out)


def _read(path: Path, limits: Limits) -> Workflow:
    try:
        return parse_document(path.read_bytes(), limits)
    except OSError as error:
        raise MissingFile(f"{path} cannot be read: {error.strerror}") from error


def _labels(workflow: Workflow) -> dict[str, str]:
    return {id: str(entry.meta.get("title") or f"{entry.class_type} {id}") for id, entry in workflow.nodes.items()}


def _run_here(settings: Settings, workflow: Workflow, out: Path | None) -> bool:
    from engine.graph.api_format import api_prompt
    from engine.graph.cancel import CancelToken
    from engine.graph.context import JobInfo
    from engine.graph.validation import validate
    from engine.worker.runtime import build

    with closing(build(settings, output=out)) as runtime:
        catalogue = runtime.catalogue()
        limits = Limits.of(settings)
        graph = workflow.flatten(catalogue, limits)
        validated = validate(graph, catalogue, strict=workflow.source != "api", limits=limits)
        validated.raise_for_problems()
        prompt = api_prompt(validated.graph, catalogue)
        job = JobInfo(id=uuid.uuid4().hex, prompt=prompt, extra={"easel": workflow.to_json()}, metadata=settings.metadata)
        cancel = CancelToken()
        with RunDisplay(_labels(workflow)) as display, _interrupting(cancel):
            outcome = asyncio.run(
                runtime.executor.run(
                    validated.graph, validated.outputs, job=job, emit=lambda event: display.show(event.to_json()), cancel=cancel
                )
            )
        for ui in outcome.ui.values():
            _print_results(ui, runtime.folders)
    return outcome.state == "succeeded"


@contextmanager
def _interrupting(cancel: Any) -> Iterator[None]:
    """Ctrl+C asks the run to stop at its next step; a second one ends the process."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        typer.echo("stopping after this step; Ctrl+C again ends at once", err=True)
        cancel.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_results(ui: Mapping[str, Any], folders: Folders) -> None:
    """Prints what one output node shows: the path of each file, and texts as they are."""
    for item in chain.from_iterable(ui.values()):
        if isinstance(item, Mapping) and "filename" in item:
            typer.echo(folders.resolve(item["type"], str(PurePosixPath(item["subfolder"], item["filename"]))))
        elif isinstance(item, str):
            typer.echo(item)

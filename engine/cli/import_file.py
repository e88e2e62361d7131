"""`easel import FILE`: the workflow in a picture or a file of another program, as Easel writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import WHERE_TO_FIND, with_settings
from engine.errors import Conflict, InvalidInput, MissingFile, QuotaExceeded
from engine.settings import Settings


@with_settings(*WHERE_TO_FIND, "max_body", "max_nodes", "max_depth", "max_text", "max_pixels")
def import_file(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A picture, a workflow of ComfyUI, or a text with A1111's parameters.", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the workflow here instead of printing it.")
    ] = None,
) -> None:
    """Make a workflow from what Easel, ComfyUI or AUTOMATIC1111 saved. What is not taken over is said, and missing models are named."""
    from engine.cli.catalogue import load_catalogue
    from engine.graph.folders import Folders
    from engine.graph.limits import Limits
    from engine.graph.workflow_reader import parse_document
    from engine.server.imports import FOLDERS, Importer

    limits = Limits.of(settings)
    try:
        if file.stat().st_size > limits.body_bytes:
            raise QuotaExceeded(f"{file} is larger than {limits.body_bytes:,} bytes.", hint="Raise the setting max_body.")
        data = file.read_bytes()
    except OSError as error:
        raise MissingFile(f"{file} cannot be read: {error.strerror}") from error
    importer = Importer(load_catalogue(settings), Folders.of(settings).listing(FOLDERS), limits, settings.max_pixels)
    found = importer.read(data)
    if found.workflow is None:
        raise InvalidInput(f"{file}: {found.problems[0].message}", hint=found.problems[0].hint)
    for note in (*found.notes, *(f"{problem.message} {problem.hint}" for problem in found.problems)):
        typer.echo(note, err=True)
    workflow = parse_document(found.workflow, limits)
    if output is None:
        typer.echo(workflow.dumps(), nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(workflow.dumps())
    except FileExistsError as error:
        raise Conflict(f"{output} exists.", hint="Give another name, or remove it.") from error
    except OSError as error:
        raise MissingFile(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"{output}: {len(workflow.nodes)} nodes")

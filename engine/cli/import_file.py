"""`easel import PICTURE`: the workflow in a picture, or one made from what AUTOMATIC1111 wrote into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import WHERE_TO_FIND, with_settings
from engine.errors import Conflict, MissingFile, QuotaExceeded
from engine.settings import Settings


@with_settings(*WHERE_TO_FIND, "max_body", "max_nodes", "max_depth", "max_text", "max_pixels")
def import_file(
    settings: Settings,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .png, .jpg or .webp, or a .txt with A1111's parameters.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the workflow here instead of printing it.")
    ] = None,
) -> None:
    """Make a workflow from a picture of Easel, ComfyUI or AUTOMATIC1111. What is not taken over is said, and missing models are named."""
    from engine.graph.folders import Folders
    from engine.graph.limits import Limits
    from engine.infotext.pictures import PARAMETERS, import_picture, import_texts

    limits = Limits.of(settings)
    try:
        if file.stat().st_size > limits.body_bytes:
            raise QuotaExceeded(f"{file} is larger than {limits.body_bytes:,} bytes.", hint="Raise the setting max_body.")
        data = file.read_bytes()
    except OSError as error:
        raise MissingFile(f"{file} cannot be read: {error.strerror}") from error
    known = Folders.of(settings).listing(("checkpoints", "loras", "embeddings"))
    if file.suffix.lower() == ".txt":
        imported = import_texts({PARAMETERS: data.decode("utf-8", "replace")}, known, limits)
    else:
        imported = import_picture(data, known, limits=limits, max_pixels=settings.max_pixels)
    for note in imported.notes:
        typer.echo(note, err=True)
    if output is None:
        typer.echo(imported.workflow.dumps(), nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(imported.workflow.dumps())
    except FileExistsError as error:
        raise Conflict(f"{output} exists.", hint="Give another name, or remove it.") from error
    except OSError as error:
        raise MissingFile(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"{output}: {len(imported.workflow.nodes)} nodes, from the text {imported.source!r}")

"""`easel run`: one workflow from a file, on the server that has the data folder open, else in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import HOW_TO_COMPUTE, WHERE_TO_FIND, with_settings
from engine.settings import Settings


@with_settings(*WHERE_TO_FIND, *HOW_TO_COMPUTE)
def run(
    settings: Settings,
    workflow: Annotated[
        Path, typer.Argument(metavar="WORKFLOW.json", help="A workflow in Easel's format or an API prompt.", show_default=False)
    ],
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.INPUT=VALUE",
            help="Another value for an input; NODE is an id or a title. Repeatable.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where files are written. Default: output of the data folder.")] = None,
) -> None:
    """Run a workflow and print the path of each file that it wrote. Exit code 1 when it cannot run or a node failed."""
    from engine.cli.assignments import assign
    from engine.cli.execution import read_workflow, run_workflow
    from engine.graph.limits import Limits

    document = read_workflow(workflow, Limits.of(settings))
    assign(document, assignments or [])
    if not run_workflow(settings, document, out):
        raise typer.Exit(1)

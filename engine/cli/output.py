"""What the command prints besides its results: errors and problems, on the error stream."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from engine.errors import EaselError, InvalidWorkflow, Problem


def report_error(error: EaselError) -> None:
    if isinstance(error, InvalidWorkflow):
        report_problems(error.problems)
    else:
        where = f" (node {error.node_id})" if error.node_id else ""
        typer.echo(f"error: {error.message}{where}", err=True)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)


def report_problems(problems: Iterable[Problem]) -> None:
    """One line for each: the message, which says where, and what to do."""
    listed = tuple(problems)
    typer.echo(f"error: the workflow cannot run, {len(listed)} problem{'s' if len(listed) != 1 else ''}:", err=True)
    for problem in listed:
        typer.echo(f"  {problem.message}{f' ({problem.hint})' if problem.hint else ''}", err=True)

"""`easel config`: each setting, its value and where the value comes from."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ByteSize, SecretStr

from engine.cli.options import with_settings
from engine.settings import Settings


@with_settings(*Settings.model_fields)
def config(settings: Settings, origins: dict[str, str]) -> None:
    """Print each setting, its value and where it comes from."""
    rows = [(name, _shown(getattr(settings, name)), origins[name]) for name in Settings.model_fields]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        typer.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, ByteSize):
        return value.human_readable()
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)

"""Flags of the command, made from the settings: one name, one default and one help text for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from engine.settings import Settings, flag_name, load_with_origins, shown_default

WHERE_TO_FIND = ("data", "models", "extra_model_paths", "datasets")
HOW_TO_COMPUTE = ("device", "precision", "memory_cache", "disk_cache", "keep_intermediates", "metadata")


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command a flag for each named setting. Its function gets the settings in force as `settings`, and `origins` if it asks."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name not in ("settings", "origins")]
        flags = [_parameter(name, Settings.model_fields[name]) for name in names]

        def command(**values: Any) -> None:
            given = {name: values.pop(name) for name in names}
            settings, origins = load_with_origins(given)
            if "origins" in signature.parameters:
                values["origins"] = origins
            function(settings=settings, **values)

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = signature.replace(parameters=own + flags)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in own + flags}
        return command

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = flag_name(name)
    declarations = [f"{flag}/--no-{flag[2:]}"] if field.annotation is bool else [flag]
    option = typer.Option(
        *declarations, help=field.description, metavar=_metavar(field), show_default=shown_default(field) or False, envvar=None
    )
    annotation = Annotated[_flag_type(field), option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(field: FieldInfo) -> Any:
    """What the command line reads; the settings model parses and checks the rest."""
    if get_origin(field.annotation) is tuple:
        return list[str] | None if get_args(field.annotation)[0] is str else list[Path] | None
    if field.annotation in (bool, int, float):
        return field.annotation | None
    return Path | None if field.annotation in (Path, Path | None) else str | None


def _metavar(field: FieldInfo) -> str | None:
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    return None

"""Reads a function's signature into the catalogue's inputs and outputs, and refuses one that cannot be a node."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from engine.errors import InvalidNode
from engine.graph.annotations import read as read_annotation
from engine.graph.catalogue import InputInfo, OutputInfo
from engine.graph.context import Context
from engine.graph.docstrings import Help
from engine.graph.literals import Rejected, caster
from engine.graph.results import Blocked, Expand, Shown


@dataclass(frozen=True)
class Outputs:
    """`named` is the NamedTuple class of a node with several outputs."""

    infos: tuple[OutputInfo, ...]
    named: type | None = None
    shows: bool = False


def type_hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise InvalidNode(
            f"{where}: an annotation cannot be read: {error}.", hint="Name types that the module imports or defines at its top level."
        ) from error


def context_parameter(function: Callable[..., Any], hints: dict[str, Any], where: str) -> str | None:
    """The name of the parameter annotated Context, if any."""
    names = [name for name in inspect.signature(function).parameters if hints.get(name) is Context]
    if len(names) > 1:
        raise InvalidNode(f"{where}: {' and '.join(names)} are both annotated Context.", hint="Keep one.")
    return names[0] if names else None


def inputs_of(function: Callable[..., Any], hints: dict[str, Any], help_texts: Help, where: str) -> tuple[InputInfo, ...]:
    parameters = [p for p in inspect.signature(function).parameters.values() if hints.get(p.name) is not Context]
    unknown = sorted(set(help_texts.inputs) - {p.name for p in parameters} - set(hints))
    if unknown:
        raise InvalidNode(
            f"{where}: the docstring describes {', '.join(unknown)}, which is no parameter.", hint="Rename or remove the line."
        )
    return tuple(_input(parameter, hints, help_texts.inputs.get(parameter.name, ""), where) for parameter in parameters)


def _input(parameter: inspect.Parameter, hints: dict[str, Any], help_text: str, where: str) -> InputInfo:
    place = f"{where}: parameter {parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise InvalidNode(
            f"{place} is starred or positional only, and inputs go by name.", hint=f"Use {parameter.name}: Variadic[T] for any number."
        )
    if parameter.name not in hints:
        raise InvalidNode(f"{place} has no type hint.", hint=f"Add one: {parameter.name}: int")
    try:
        reading = read_annotation(hints[parameter.name])
    except InvalidNode as error:
        raise InvalidNode(f"{place}: {error.message}.", hint=error.hint) from error
    fields: dict[str, Any] = {"name": parameter.name, "type": reading.type, "help": help_text, **reading.fields}
    default = parameter.default.value if isinstance(parameter.default, enum.Enum) else parameter.default
    if default is parameter.empty:
        if reading.optional:
            raise InvalidNode(f"{place} may be None but has no default.", hint=f"Write {parameter.name}: ... | None = None.")
        if not fields.pop("required", True):
            raise InvalidNode(f"{place} is optional but has no default.", hint="Give it one.")
        return InputInfo(**fields)
    if default is None or (default == () and fields.get("variadic")):
        if default is None and not reading.optional:
            raise InvalidNode(f"{place} has the default None, which its annotation does not allow.", hint="Annotate it ... | None.")
        return InputInfo(**{**fields, "required": False})
    return _with_default(InputInfo(**fields), default, place)


def _with_default(info: InputInfo, default: Any, place: str) -> InputInfo:
    known = info.choices if info.folder is None else None
    try:
        value = caster(info, strict=True, choices=known)(default)
    except Rejected as error:
        raise InvalidNode(f"{place}: its default fails its own annotation: {error.message}.", hint=error.hint) from error
    return info.model_copy(update={"default": value, "has_default": True})


def outputs_of(hints: dict[str, Any], help_texts: Help, output_node: bool, where: str) -> Outputs:
    if "return" not in hints:
        raise InvalidNode(
            f"{where} has no return annotation.", hint="Add one: -> Image, a NamedTuple for several outputs, -> None for none."
        )
    annotation = _without_control(hints["return"])
    shows = annotation is Shown or get_origin(annotation) is Shown
    if shows:
        annotation = get_args(annotation)[0] if get_args(annotation) else None
    if shows and not output_node:
        raise InvalidNode(f"{where} returns Shown but is no output node.", hint="Say output_node=True.")
    if annotation is None or annotation is type(None):
        return Outputs((), shows=shows)
    named = annotation if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields") else None
    fields = get_type_hints(named, include_extras=True) if named else {"": annotation}
    return Outputs(tuple(_output(name, hint, help_texts, where) for name, hint in fields.items()), named, shows)


def _without_control(annotation: Any) -> Any:
    """`Latent | Expand | Blocked` -> `Latent`."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    parts = [part for part in get_args(annotation) if part not in (Expand, Blocked)]
    return Union[tuple(parts)] if parts else None  # noqa: UP007  (the members are known at run time only)


def _output(name: str, annotation: Any, help_texts: Help, where: str) -> OutputInfo:
    try:
        reading = read_annotation(annotation)
    except InvalidNode as error:
        raise InvalidNode(f"{where}: output {name or '(the return value)'}: {error.message}.", hint=error.hint) from error
    if reading.optional or reading.fields.get("lazy") or reading.fields.get("variadic"):
        raise InvalidNode(
            f"{where}: an output cannot be optional, lazy or variadic.", hint="Return Blocked() for a value that is not there."
        )
    anonymous = "value" if reading.type.startswith("$") else reading.type
    shown = anonymous if not name or name.upper() == reading.type else name
    help_text = help_texts.outputs.get(name) or (help_texts.returns if not name else "")
    return OutputInfo(name=shown, type=reading.type, series=reading.fields.get("series", False), help=help_text)

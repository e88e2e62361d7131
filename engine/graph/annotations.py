"""What a parameter's annotation says about an input: the marks that nodes use, and their reading into `InputInfo` fields."""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from engine.errors import InvalidNode
from engine.graph.catalogue import ANY
from engine.graph.ports import COMBO, PLAIN, Port, port_of

T = TypeVar("T")


class _Mark(enum.Enum):
    LAZY = "lazy"
    SERIES = "series"
    VARIADIC = "variadic"
    SEED = "seed"


_TUPLES = frozenset({_Mark.SERIES, _Mark.VARIADIC})

Lazy = Annotated[T, _Mark.LAZY]
"""Computed only when the node's `needs` asks for it; the body gets None where it never did."""

Series = Annotated[tuple[T, ...], _Mark.SERIES]
"""The whole tuple of values that a slot carries, instead of one call per value."""

Variadic = Annotated[tuple[T, ...], _Mark.VARIADIC]
"""Any number of sockets `name0`, `name1`, ...; the body gets a tuple in that order."""

Seed = Annotated[int, FieldInfo(annotation=int, ge=0, le=2**64 - 1), _Mark.SEED]
"""A whole number that starts a random stream; editors offer a new one after each run."""


@dataclass(frozen=True)
class Choice:
    """`Annotated[str, Choice("checkpoints")]`: the name of a file in a model folder, in `input` (or a kind: `input:image`).

    `extra` are choices besides the files. On a union, `Annotated[str | Lora, Choice("loras")]`, a link may bring the value itself.
    """

    folder: str
    extra: tuple[str, ...] = ()


class OneOf:
    """`Annotated[str, OneOf(SAMPLER_NAMES)]`: one of the values of a sequence. For values known to the eye, `Literal` is shorter."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)


class Widget:
    """Hints for editors. `step`, `multiline`, `socket_only` and `optional` have a meaning of their own, others are passed on as they are.

    `optional` puts an input that has a default among the optional ones, so that a prompt of another program may leave it out.
    """

    def __init__(
        self, *, step: float | None = None, multiline: bool = False, socket_only: bool = False, optional: bool = False, **hints: Any
    ) -> None:
        self.step = step
        self.multiline = multiline
        self.socket_only = socket_only
        self.optional = optional
        self.hints = hints


@dataclass(frozen=True)
class Reading:
    """An annotation, read. `fields` are fields of InputInfo; `optional` says that None is allowed."""

    type: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False


def read(annotation: Any) -> Reading:
    """The type name and the constraints of an annotation; raises InvalidNode with the reason for one that cannot be a port."""
    if get_origin(annotation) is Annotated:
        return _read_annotated(annotation)
    if annotation is Any:
        return Reading(ANY)
    if isinstance(annotation, TypeVar):
        if annotation.__bound__ is not None or annotation.__constraints__:
            raise InvalidNode(
                f"type variable {annotation.__name__} has bounds, which links do not know", hint="Use a plain TypeVar or a union."
            )
        return Reading(f"${annotation.__name__}")
    if get_origin(annotation) in (Union, types.UnionType):
        return _read_union(get_args(annotation))
    if get_origin(annotation) is Literal:
        return _choices(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return _choices(tuple(member.value for member in annotation))
    if annotation in PLAIN:
        return Reading(PLAIN[annotation])
    found = port_of(annotation)
    if found is not None:
        return Reading(found.name)
    raise InvalidNode(
        f"{_shown(annotation)} is not a port type",
        hint='Use bool, int, float, str, Literal, a class under @port("NAME"), or Annotated[..., Port("NAME")].',
    )


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


def _choices(values: tuple[Any, ...]) -> Reading:
    if not values or not all(type(value) in (str, int, float, bool) for value in values):
        raise InvalidNode(f"the choices {values!r} are not a list of texts or numbers", hint="Name at least one, as plain literals.")
    return Reading(COMBO, {"choices": values})


def _read_union(parts: tuple[Any, ...]) -> Reading:
    readings = [read(part) for part in parts if part is not type(None)]
    optional = type(None) in parts
    if len(readings) == 1:
        return replace(readings[0], optional=optional)
    if any(reading.fields for reading in readings):
        raise InvalidNode(
            "the members of a union carry constraints", hint="Put the constraints round the whole union: Annotated[int | float, ...]."
        )
    names: dict[str, None] = {}
    for reading in readings:
        if reading.type.startswith("$"):
            raise InvalidNode("a union contains a type variable", hint="Use the type variable alone, or Any.")
        names.update(dict.fromkeys(reading.type.split(",")))
    return Reading(ANY if ANY in names else ",".join(names), {}, optional)


def _read_annotated(annotation: Any) -> Reading:
    inner, marks = get_args(annotation)[0], annotation.__metadata__
    if get_origin(inner) is tuple and not _TUPLES.isdisjoint(mark for mark in marks if isinstance(mark, _Mark)):
        reading = read(get_args(inner)[0])
    else:
        found = port_of(annotation)
        reading = Reading(found.name) if found is not None else read(inner)
    fields = dict(reading.fields)
    for mark in marks:
        _apply(mark, reading.type, fields)
    type_name = reading.type.replace("STRING", COMBO) if "folder" in fields or "choices" in fields else reading.type
    return Reading(type_name, fields, reading.optional)


def _apply(mark: Any, type_name: str, fields: dict[str, Any]) -> None:
    match mark:
        case _Mark():
            fields[mark.value] = True
        case Port():
            pass
        case Choice():
            _require("STRING" in type_name.split(","), "Choice", "str")
            fields["folder"] = mark.folder
            if mark.extra:
                fields["choices"] = mark.extra
        case OneOf():
            fields.update(_choices(mark.values).fields)
        case Widget():
            if mark.step is not None:
                fields["step"] = mark.step
            if mark.optional:
                fields["required"] = False
            fields.update({name: True for name in ("multiline", "socket_only") if getattr(mark, name)})
            fields["widget"] = {**fields.get("widget", {}), **mark.hints}
        case FieldInfo():
            if mark.description:
                fields["help"] = mark.description
            for constraint in mark.metadata:
                _apply(constraint, type_name, fields)
        case annotated_types.Interval() | annotated_types.Len():
            for constraint in mark:
                _apply(constraint, type_name, fields)
        case _:
            _apply_constraint(mark, type_name, fields)


def _apply_constraint(mark: Any, type_name: str, fields: dict[str, Any]) -> None:
    numeric = type_name in ("INT", "FLOAT", "INT,FLOAT", "FLOAT,INT")
    match mark:
        case annotated_types.Ge():
            _require(numeric, "ge", "int or float")
            fields["minimum"] = mark.ge
        case annotated_types.Le():
            _require(numeric, "le", "int or float")
            fields["maximum"] = mark.le
        case annotated_types.Gt(gt=int() | float() as bound) if type_name == "INT":
            fields["minimum"] = floor(bound) + 1
        case annotated_types.Lt(lt=int() | float() as bound) if type_name == "INT":
            fields["maximum"] = ceil(bound) - 1
        case annotated_types.MaxLen():
            _require(type_name == "STRING", "max_length", "str")
            fields["max_length"] = mark.max_length
        case annotated_types.MinLen(min_length=0):
            pass
        case _ if (pattern := getattr(mark, "pattern", None)) is not None:
            _require(type_name == "STRING", "pattern", "str")
            fields["pattern"] = _checked_pattern(pattern)
        case _:
            raise InvalidNode(
                f"the mark {mark!r} has no meaning for {type_name}",
                hint="Inputs know ge, le, (whole numbers: gt, lt,) max_length, pattern, description, Choice, OneOf and Widget.",
            )


def _require(holds: bool, mark: str, wanted: str) -> None:
    if not holds:
        raise InvalidNode(f"{mark} stands on something that is not {wanted}", hint=f"Remove it, or annotate the input as {wanted}.")


def _checked_pattern(pattern: Any) -> str:
    text = pattern.pattern if isinstance(pattern, re.Pattern) else str(pattern)
    try:
        re.compile(text)
    except re.error as error:
        raise InvalidNode(f"the pattern {text!r} does not compile: {error}", hint="Write a regular expression of Python.") from error
    return text

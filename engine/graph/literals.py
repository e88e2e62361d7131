"""Checking and casting of literal values: one caster per input, strict (JSON types are taken at their word) or lenient (as ComfyUI casts).

A caster takes a JSON value and gives the value that the node gets, or raises Rejected.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any

from engine.graph.catalogue import ANY, InputInfo
from engine.graph.ports import COMBO

Caster = Callable[[Any], Any]

INT_MIN, INT_MAX = -(2**63), 2**64 - 1  # what an input without its own bounds takes; seeds need the upper one

_BY_PYTHON_TYPE = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80


class Rejected(Exception):
    """A value that an input does not take. `code` is ComfyUI's where it has one; `details` are its extra_info."""

    def __init__(self, code: str, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details


def caster(info: InputInfo, *, strict: bool, choices: Sequence[Any] | None = None, text_chars: int = 1_000_000) -> Caster:
    """The caster of an input. `choices` are the allowed values of a COMBO, None where they are not known (then any text passes)."""
    single = _single(info, strict, choices, text_chars)
    if not info.series:
        return single

    def cast_series(value: Any) -> list[Any]:
        return [single(item) for item in value] if isinstance(value, list | tuple) else [single(value)]

    return cast_series


def type_of_literal(value: Any) -> str:
    """The type name that a literal has where the input's type is a variable."""
    return _BY_PYTHON_TYPE.get(type(value), ANY)


def brief(value: Any) -> str:
    """A value in a message: short whatever it is."""
    return _brief.repr(value)


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint that names the closest known names, empty when nothing is close."""
    if len(name) > 200:
        return ""
    found = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(found)}?" if found else ""


def _single(info: InputInfo, strict: bool, choices: Sequence[Any] | None, text_chars: int) -> Caster:
    low, high = _bounds(info)
    longest = text_chars if info.max_length is None else min(info.max_length, text_chars)
    if info.type == ANY or info.type.startswith("$"):
        return _check_json
    if "," in info.type:
        parts = info.type.split(",")
        return _union({part: _single(info.model_copy(update={"type": part}), True, choices, text_chars) for part in parts}, info.type)
    match info.type:
        case "INT":
            return _int(strict, low, high)
        case "FLOAT":
            return _float(strict, low, high)
        case "BOOLEAN":
            return _boolean(strict)
        case "STRING":
            return _string(strict, longest, info.pattern)
        case "COMBO":
            return _combo(choices, info, longest)
    return _socket(info.type)


def _bounds(info: InputInfo) -> tuple[float | int, float | int]:
    whole = info.type == "INT"
    low = info.minimum if info.minimum is not None else (INT_MIN if whole else -inf)
    high = info.maximum if info.maximum is not None else (INT_MAX if whole else inf)
    return low, high


def _wrong_type(value: Any, wanted: str, reason: str) -> Rejected:
    return Rejected(
        "invalid_input_type",
        f"{brief(value)} is not a {wanted} value ({reason})",
        hint=f"Write a {wanted} value.",
        received_value=_shortened(value),
        exception_message=reason,
    )


def _shortened(value: Any) -> Any:
    return value if type(value) in (int, float, bool, type(None)) or (type(value) is str and len(value) <= 200) else brief(value)


def _check_range(value: float | int, low: float | int, high: float | int) -> None:
    if value < low:
        raise Rejected(
            "value_smaller_than_min", f"Value {brief(value)} smaller than min of {low}", hint=f"Use at least {low}.", received_value=value
        )
    if value > high:
        raise Rejected(
            "value_bigger_than_max", f"Value {brief(value)} bigger than max of {high}", hint=f"Use at most {high}.", received_value=value
        )


def _int(strict: bool, low: float | int, high: float | int) -> Caster:
    def cast(value: Any) -> int:
        if type(value) is not int:
            if strict:
                raise _wrong_type(value, "INT", f"it is {_json_type(value)}")
            value = _converted(int, value, "INT")
        if not low <= value <= high:
            _check_range(value, low, high)
        return value

    return cast


def _float(strict: bool, low: float | int, high: float | int) -> Caster:
    def cast(value: Any) -> float:
        if type(value) is not float:
            if strict and type(value) is not int:
                raise _wrong_type(value, "FLOAT", f"it is {_json_type(value)}")
            value = _converted(float, value, "FLOAT")
        if not isfinite(value):
            raise _wrong_type(str(value), "FLOAT", "it is not a finite number")
        if not low <= value <= high:
            _check_range(value, low, high)
        return value

    return cast


def _boolean(strict: bool) -> Caster:
    def cast(value: Any) -> bool:
        if type(value) is not bool:
            if strict:
                raise _wrong_type(value, "BOOLEAN", f"it is {_json_type(value)}")
            value = bool(value)
        return value

    return cast


def _string(strict: bool, longest: int, pattern: str | None) -> Caster:
    search = re.compile(pattern).search if pattern is not None else None

    def cast(value: Any) -> str:
        if type(value) is not str:
            if strict:
                raise _wrong_type(value, "STRING", f"it is {_json_type(value)}")
            value = str(value)
        if len(value) > longest:
            raise Rejected("value_too_long", f"A text of {len(value)} characters is longer than {longest}", hint="Shorten it.")
        if search is not None and search(value) is None:
            raise Rejected(
                "value_not_matching",
                f"{brief(value)} does not match {pattern}",
                hint=f"Write a text that matches {pattern}.",
                received_value=brief(value),
            )
        return value

    return cast


def _combo(choices: Sequence[Any] | None, info: InputInfo, longest: int) -> Caster:
    if choices is None:
        return _string(True, longest, None)
    names = frozenset(choice for choice in choices if type(choice) is str)
    others = tuple(choice for choice in choices if type(choice) is not str)

    def cast(value: Any) -> Any:
        if type(value) is str:
            if value in names:
                return value
            if "\\" in value and value.replace("\\", "/") in names:  # a path written on Windows
                return value.replace("\\", "/")
        elif any(type(value) is type(choice) and value == choice for choice in others):
            return value
        raise _not_in_list(value, choices, info)

    return cast


def _not_in_list(value: Any, choices: Sequence[Any], info: InputInfo) -> Rejected:
    listed = f"(list of length {len(choices)})" if len(choices) > 20 else str(list(choices))
    if not choices and info.folder:
        hint = f"There is no file in {info.folder} yet; put one there."
    else:
        hint = nearest(value, [str(choice) for choice in choices]) if type(value) is str else ""
        hint = hint or ("Choose a file that is there." if info.folder else f"Choose one of {', '.join(map(str, choices[:20]))}.")
    return Rejected("value_not_in_list", f"{brief(value)} not in {listed}", hint=hint, received_value=_shortened(value))


def _union(casters: dict[str, Caster], shown: str) -> Caster:
    def cast(value: Any) -> Any:
        name = type_of_literal(value)
        name = "FLOAT" if name == "INT" and "INT" not in casters else name
        chosen = casters.get(name) or (casters.get(COMBO) if name == "STRING" else None)
        if chosen is None:
            raise _wrong_type(value, shown, f"it is {_json_type(value)}")
        return chosen(value)

    return cast


def _socket(type_name: str) -> Caster:
    def refuse(value: Any) -> Any:
        raise Rejected(
            "link_required",
            f"{brief(value)} stands where a {type_name} must come over a link",
            hint=f'Link it to the output of a node that gives {type_name}: ["node id", 0].',
            received_value=_shortened(value),
        )

    return refuse


def _check_json(value: Any) -> Any:
    """Anything that JSON can hold, finite numbers only."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float) and not isfinite(item):
            raise _wrong_type(str(item), "JSON", "it is not a finite number")
        if isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif not (item is None or isinstance(item, str | int | float)):
            raise _wrong_type(item, "JSON", f"it is a {type(item).__name__}")
    return value


def _converted(kind: Callable[[Any], Any], value: Any, wanted: str) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong_type(value, wanted, str(error)[:200]) from error


def _json_type(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number with a fraction",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null" if value is None else f"a {type(value).__name__}")

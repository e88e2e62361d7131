"""Reading JSON from outside: bounded in size and depth, no key twice, finite numbers, texts that can be written down again as UTF-8."""

from __future__ import annotations

import json
from collections import Counter
from math import isfinite
from typing import Any, NoReturn

from engine.errors import InvalidWorkflow, Problem, QuotaExceeded
from engine.graph.limits import DEFAULT_LIMITS, Limits


class _Refused(ValueError):
    """Well-formed JSON that is refused all the same."""


def read_json(data: bytes | str, limits: Limits = DEFAULT_LIMITS, *, nan: bool = False) -> Any:
    """Parse a document; raises InvalidWorkflow with the place of the fault, or QuotaExceeded.

    nan: read NaN and Infinity, which other programs write and JSON does not have, as null.
    """
    if len(data) > limits.body_bytes:
        raise QuotaExceeded(
            f"The document has {len(data)} bytes, more than the limit of {limits.body_bytes}.",
            hint="Send a smaller one, or raise the limit in the settings.",
            details={"limit": limits.body_bytes},
        )
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_as_null if nan else _refuse_constant)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeDecodeError as error:
        raise _invalid(f"The document is not UTF-8: byte {error.start} cannot be read.", "Save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise _invalid(f"The document is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.", "Correct it there.") from error
    except ValueError as error:
        raise _invalid(f"The document cannot be read: {str(error)[:300]}", "Correct it.") from error
    check_json(value, limits)
    return value


def check_json(value: Any, limits: Limits = DEFAULT_LIMITS) -> None:
    """The same conditions on a value that is parsed already, level by level; nothing recurses."""
    level, depth = [value] if isinstance(value, dict | list) else [[value]], 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise _too_deep(limits)
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        raise _invalid(f"A key is a {type(key).__name__}, not a text.", "JSON objects have texts as keys.")
                    if not key.isascii():
                        _check_text(key)
                items: Any = container.values()
            else:
                items = container
            for item in items:
                kind = type(item)
                if kind is str:
                    if not item.isascii():
                        _check_text(item)
                elif kind is dict or kind is list:
                    below.append(item)
                elif kind is float:
                    if not isfinite(item):
                        raise _invalid(f"A number is {item}, which JSON does not have.", "Write a finite number.")
                elif kind is not int and kind is not bool and item is not None:
                    raise _invalid(f"A value is a {kind.__name__}, which JSON does not have.", "Use texts, numbers, lists and objects.")
        level = below


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(
            f"A text has half a character (\\u{ord(text[error.start]):x}).", "Write both halves of the surrogate pair."
        ) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Refused(f"the key {twice[:100]!r} stands twice in one object.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a JSON number.")


def _as_null(name: str) -> None:
    return None


def _too_deep(limits: Limits) -> QuotaExceeded:
    return QuotaExceeded(
        f"The document nests deeper than {limits.depth} levels.",
        hint="Flatten it, or raise the limit in the settings.",
        details={"limit": limits.depth},
    )


def _invalid(message: str, hint: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem("invalid_json", message, hint=hint)])

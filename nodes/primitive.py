"""Values typed by hand, to feed several inputs from one place, and a look at any value."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from engine.graph import Shown, Widget, node

LARGEST = 2**63 - 1


@node("PrimitiveString", category="primitive", display_name="String")
def string(value: Annotated[str, Widget(multiline=False)]) -> str:
    """A line of text."""
    return value


@node("PrimitiveStringMultiline", category="primitive", display_name="String (Multiline)")
def multiline_string(value: Annotated[str, Widget(multiline=True)]) -> str:
    """A text of several lines."""
    return value


@node("PrimitiveInt", category="primitive", display_name="Int")
def integer(value: Annotated[int, Field(ge=-LARGEST, le=LARGEST), Widget(control_after_generate=True)]) -> int:
    """A whole number."""
    return value


@node("PrimitiveFloat", category="primitive", display_name="Float")
def number(value: Annotated[float, Field(ge=-LARGEST, le=LARGEST)]) -> float:
    """A number."""
    return value


@node("PrimitiveBoolean", category="primitive", display_name="Boolean")
def boolean(value: bool) -> bool:
    """True or false."""
    return value


@node("PreviewAny", category="primitive", display_name="Preview Any", output_node=True)
def preview_any(source: Any) -> Shown:
    """Show any value as text: strings and numbers as they are, lists and dictionaries as JSON, anything else by its description."""
    if isinstance(source, str):
        text = source
    elif isinstance(source, bool | int | float):
        text = str(source)
    elif source is None:
        text = "None"
    else:
        try:
            text = json.dumps(source)
        except (TypeError, ValueError):
            text = str(source)
    return Shown({"text": [text]})

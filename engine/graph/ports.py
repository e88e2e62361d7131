"""Port types: the names, colours and codecs of the values that travel along links."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_origin

from engine.errors import InvalidNode

C = TypeVar("C", bound=type)

COMBO = "COMBO"
PLAIN = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
RESERVED = frozenset({*PLAIN.values(), COMBO})
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class Codec(Protocol):
    """Turns a value into what the store keeps: named arrays and JSON metadata.

    `encode` raises engine.errors.Unstorable for a value that cannot be kept; such a value lives in memory only.
    `decode(*encode(value))` equals the value bit by bit.
    """

    def encode(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]: ...

    def decode(self, tensors: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Port:
    """A port type. As metadata of `Annotated` it gives a class of somebody else a name: `Image = Annotated[Tensor, Port("IMAGE")]`."""

    name: str
    color: str = ""
    codec: Codec | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidNode(f"Port name {self.name!r} is not usable.", hint="Write it in capitals, digits and underscores: LATENT.")
        if self.name in RESERVED:
            raise InvalidNode(
                f"Port name {self.name} belongs to a literal type.", hint="Use bool, int, float, str or Literal, or another name."
            )
        known = _ports.get(self.name)
        if known is None or (known.codec is None and self.codec is not None):
            _ports[self.name] = self
        elif self.codec is not None and type(self.codec).__qualname__ != type(known.codec).__qualname__:
            raise InvalidNode(
                f"Port {self.name} has two codecs: {type(known.codec).__qualname__} and {type(self.codec).__qualname__}.",
                hint="Declare the port once and import it.",
            )


_ports: dict[str, Port] = {}


def port(name: str, *, color: str = "", codec: Codec | None = None) -> Callable[[C], C]:
    """Make a class a port type: `@port("LATENT", color="#ff9cf9", codec=LatentCodec())`. Subclasses travel through the same port."""

    def declare(cls: C) -> C:
        cls.__port__ = Port(name, color, codec)  # type: ignore[attr-defined]
        return cls

    return declare


def port_of(annotation: Any) -> Port | None:
    """The port of a class or of an annotated alias, None for what is no port type."""
    if get_origin(annotation) is Annotated:
        marks = [mark for mark in annotation.__metadata__ if isinstance(mark, Port)]
        return marks[-1] if marks else port_of(get_args(annotation)[0])
    found = getattr(annotation, "__port__", None)
    return found if isinstance(found, Port) else None


def port_named(name: str) -> Port | None:
    """The declared port of this name; the store finds the codec of an output by its type's name."""
    return _ports.get(name)


def matches(received: str, declared: str) -> bool:
    """Whether a value of type `received` may enter an input of type `declared`.

    Equal names; a union takes any of its members; `*` on either side; INT into FLOAT; nothing else.
    """
    if received == declared or received == "*" or declared == "*":
        return True
    have, want = members(received), members(declared)
    return not have.isdisjoint(want) or "*" in want or ("INT" in have and "FLOAT" in want)


def members(name: str) -> frozenset[str]:
    """The single types of a union type: `"INT,FLOAT"` -> {"INT", "FLOAT"}."""
    return frozenset(part.strip() for part in name.split(","))

"""Port types, their names, and which output may enter which input."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import pytest
from pydantic import Field

from engine.errors import InvalidNode
from engine.graph import Choice, Lazy, OneOf, Port, Seed, Series, Variadic, Widget, port
from engine.graph.annotations import read
from engine.graph.ports import matches, port_named, port_of

T = TypeVar("T")


class Array:
    """Somebody else's class, as a tensor is."""


class PixelCodec:
    def encode(self, value):
        return {}, {}

    def decode(self, tensors, metadata):
        return None


Pixels = Annotated[Array, Port("TEST_PIXELS", color="#64b5f6", codec=PixelCodec())]


@port("TEST_THING", color="#ffffff")
class Thing:
    pass


class SpecialThing(Thing):
    pass


def test_a_port_is_found_by_class_alias_and_name():
    assert port_of(Thing).name == "TEST_THING"
    assert port_of(SpecialThing).name == "TEST_THING"
    assert port_of(Pixels).color == "#64b5f6"
    assert isinstance(port_named("TEST_PIXELS").codec, PixelCodec)
    assert port_of(int) is None and port_of(Array) is None and port_named("TEST_NOTHING") is None


@pytest.mark.parametrize("name", ["latent", "INT", "COMBO", "A B", "", "9X", "A-B"])
def test_an_unusable_port_name_is_refused(name):
    with pytest.raises(InvalidNode) as caught:
        Port(name)
    assert caught.value.hint


def test_a_port_keeps_one_codec():
    class OtherCodec(PixelCodec):
        pass

    with pytest.raises(InvalidNode, match="two codecs"):
        Port("TEST_PIXELS", codec=OtherCodec())


@pytest.mark.parametrize(
    ("received", "declared", "fits"),
    [
        ("MODEL", "MODEL", True),
        ("MODEL", "CLIP", False),
        ("IMAGE", "IMAGE,MASK", True),
        ("MASK", "IMAGE,MASK", True),
        ("LATENT", "IMAGE,MASK", False),
        ("IMAGE,MASK", "MASK", True),
        ("MODEL", "*", True),
        ("*", "MODEL", True),
        ("INT", "FLOAT", True),
        ("FLOAT", "INT", False),
        ("BOOLEAN", "INT", False),
        ("INT", "BOOLEAN", False),
        ("INT", "STRING", False),
        ("INT", "FLOAT,STRING", True),
        ("COMBO", "STRING", False),
        ("STRING", "COMBO", False),
        ("model", "MODEL", False),
    ],
)
def test_matching(received, declared, fits):
    assert matches(received, declared) is fits


@pytest.mark.parametrize(
    ("annotation", "type_name", "fields"),
    [
        (int, "INT", {}),
        (bool, "BOOLEAN", {}),
        (Any, "*", {}),
        (T, "$T", {}),
        (Pixels, "TEST_PIXELS", {}),
        (Thing | Pixels, "TEST_THING,TEST_PIXELS", {}),
        (int | float, "INT,FLOAT", {}),
        (Lazy[T], "$T", {"lazy": True}),
        (Series[Pixels], "TEST_PIXELS", {"series": True}),
        (Variadic[Lazy[T]], "$T", {"variadic": True, "lazy": True}),
        (Variadic[Series[T]], "$T", {"variadic": True, "series": True}),
        (Seed, "INT", {"minimum": 0, "maximum": 2**64 - 1, "seed": True}),
        (Literal["a", "b"], "COMBO", {"choices": ("a", "b")}),
        (Annotated[str, OneOf(["a", "b"])], "COMBO", {"choices": ("a", "b")}),
        (Annotated[str, Choice("checkpoints")], "COMBO", {"folder": "checkpoints"}),
        (Annotated[int, Field(gt=0, lt=10)], "INT", {"minimum": 1, "maximum": 9}),
        (Annotated[float, Field(ge=0, description="how much"), Widget(step=0.5)], "FLOAT", {"minimum": 0, "help": "how much", "step": 0.5}),
        (Annotated[str, Field(pattern="a+", max_length=3)], "STRING", {"pattern": "a+", "max_length": 3}),
        (Series[Annotated[int, Field(ge=1)]], "INT", {"minimum": 1, "series": True}),
    ],
)
def test_annotations(annotation, type_name, fields):
    reading = read(annotation)
    assert reading.type == type_name
    assert {name: value for name, value in reading.fields.items() if name != "widget"} == fields


@pytest.mark.parametrize(
    "annotation",
    [
        list,
        dict[str, int],
        Array,
        Annotated[str, Field(ge=0)],
        Annotated[float, Field(gt=0)],
        Annotated[int, Field(multiple_of=8)],
        Annotated[str, Field(pattern="(")],
        Annotated[int, Choice("checkpoints")],
        Annotated[str, OneOf([])],
        TypeVar("Bounded", bound=int),
        Thing | T,
    ],
)
def test_an_annotation_that_cannot_be_an_input_is_refused_with_a_hint(annotation):
    with pytest.raises(InvalidNode) as caught:
        read(annotation)
    assert caught.value.hint

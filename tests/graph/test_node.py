"""Declaring nodes: what a signature becomes, and what is refused with the place and the remedy."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypeVar

import pytest
from pydantic import Field

from engine.errors import Cancelled, InvalidNode, NodeFailed
from engine.graph import Alias, Blocked, Catalogue, Choice, Context, Expand, Lazy, Series, Shown, Variadic, node
from engine.graph.cancel import CancelToken
from engine.graph.node import variadic_sockets
from tests.graph import sample_nodes
from tests.graph.sample_nodes import Image, Latent, Model, ksampler, load_checkpoint, save_image

T = TypeVar("T")


class Flavour(StrEnum):
    SWEET = "sweet"
    SOUR = "sour"


class Two(NamedTuple):
    image: Image
    tags: Series[str]


def declare(function, id="Tested", **options):
    return node(id, **{"category": "tests", **options})(function).definition


def inputs_of(function) -> dict:
    return {item.name: item for item in function.definition.info.inputs}


def test_testing_a_node_is_calling_it():
    steps = []
    context = Context(on_progress=lambda step, total, preview: steps.append((step, total)))
    assert ksampler(context, "m", "p", "n", "latent", steps=3) == "latent sampled 0 3 8.0 euler 1.0"
    assert steps == [(3, 3)]
    assert ksampler.__name__ == "ksampler" and ksampler.__doc__.startswith("Denoise")


def test_a_cancelled_context_stops_the_node():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        ksampler(Context(cancel=token), "m", "p", "n", "latent")


def test_the_signature_is_the_declaration():
    inputs = inputs_of(ksampler)
    assert list(inputs) == [
        "model",
        "positive",
        "negative",
        "latent_image",
        "seed",
        "steps",
        "cfg",
        "sampler_name",
        "denoise",
    ]
    assert inputs["model"].type == "MODEL" and inputs["model"].required and not inputs["model"].has_default
    assert (inputs["seed"].minimum, inputs["seed"].maximum, inputs["seed"].seed) == (0, 2**64 - 1, True)
    assert (inputs["steps"].default, inputs["steps"].minimum, inputs["steps"].maximum) == (20, 1, 10_000)
    assert (inputs["cfg"].type, inputs["cfg"].default, inputs["cfg"].step) == ("FLOAT", 8.0, 0.1)
    assert inputs["sampler_name"].choices == ("euler", "heun", "dpmpp_2m")
    assert ksampler.definition.context == "ctx"
    assert [(output.name, output.type) for output in ksampler.definition.info.outputs] == [("LATENT", "LATENT")]


def test_the_docstring_is_the_help():
    info = ksampler.definition.info
    assert info.help == "Denoise a latent image along a schedule of falling noise levels."
    inputs = inputs_of(ksampler)
    assert inputs["model"].help == "predicts the noise"
    assert inputs["steps"].help == inputs["cfg"].help == "how long, and how strongly guided"
    assert inputs["seed"].help == ""
    assert info.outputs[0].help == "the denoised latent"


def test_several_outputs_are_a_named_tuple():
    outputs = load_checkpoint.definition.info.outputs
    assert [output.name for output in outputs] == ["MODEL", "CLIP", "VAE"]
    assert declare(tagged).info.outputs[1].series


def tagged(image: Image) -> Two:
    return Two(image, ("a",))


def test_unpack_gives_one_value_per_output():
    definition = load_checkpoint.definition
    assert definition.unpack(load_checkpoint("x")) == (None, ("x", "x", "x"))
    blocked = Blocked("no model")
    assert definition.unpack(blocked) == (None, (blocked, blocked, blocked))
    with pytest.raises(NodeFailed, match="LoadCheckpoint returned str where it declares Checkpoint"):
        definition.unpack("abc")
    ui, values = save_image.definition.unpack(save_image("picture", "x"))
    assert ui["images"][0]["filename"] == "x_00001_.png" and values == ()
    with pytest.raises(NodeFailed, match="declares Shown"):
        save_image.definition.unpack({"ui": {}})
    with pytest.raises(NodeFailed, match="is a series"):
        declare(tagged).unpack(Two(Image("x"), "abc"))


def test_an_output_node_may_also_give_values():
    def show(image: Image) -> Shown[Two]: ...

    definition = declare(show, output_node=True)
    assert [output.name for output in definition.info.outputs] == ["IMAGE", "tags"]
    assert definition.unpack(Shown({"text": ("a",)}, Two(Image("i"), ()))) == ({"text": ["a"]}, ("i", ()))


def test_control_results_are_no_outputs():
    def loop(count: int) -> Image | Expand | Blocked: ...

    assert [output.type for output in declare(loop).info.outputs] == ["IMAGE"]


def test_coroutines_and_nodes_without_outputs():
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    definition = declare(wait)
    assert definition.is_async and definition.info.outputs == () and definition.unpack(None) == (None, ())


def test_enums_give_their_values():
    def season(flavour: Flavour = Flavour.SOUR) -> None: ...

    item = declare(season).info.inputs[0]
    assert (item.type, item.choices, item.default) == ("COMBO", ("sweet", "sour"), "sour")
    assert type(item.default) is str


def test_the_catalogue_is_data():
    found = sample_nodes.catalogue()
    assert Catalogue.model_validate_json(found.model_dump_json()) == found


def bad_default(steps: int = "many") -> None: ...
def bad_range(steps: Annotated[int, Field(ge=1)] = 0) -> None: ...
def bad_choice(flavour: Flavour = "salty") -> None: ...
def bad_bool(flag: int = True) -> None: ...
def bad_float(x: float = float("nan")) -> None: ...
def no_hint(steps=20) -> None: ...
def no_return(steps: int = 20): ...
def none_default(model: Model = None) -> None: ...
def optional_without_default(model: Model | None) -> None: ...
def starred(*images: Image) -> None: ...
def keywords(**images: Image) -> None: ...
def two_contexts(a: Context, b: Context) -> None: ...
def unknown_type(model: NoSuchType) -> None: ...  # noqa: F821
def no_port(model: dict) -> None: ...
def socket_default(model: Model = "x") -> None: ...
def bad_output(x: int) -> dict: ...
def lazy_output(x: int) -> Lazy[int]: ...
def shown_without_output_node(x: int) -> Shown: ...
def lazy_without_needs(value: Lazy[int]) -> int: ...


def stray_docs(x: int) -> None:
    """Text.

    Args:
        y: not there
    """


@pytest.mark.parametrize(
    "function",
    [
        bad_default,
        bad_range,
        bad_choice,
        bad_bool,
        bad_float,
        no_hint,
        no_return,
        none_default,
        optional_without_default,
        starred,
        keywords,
        two_contexts,
        unknown_type,
        no_port,
        socket_default,
        bad_output,
        lazy_output,
        shown_without_output_node,
        lazy_without_needs,
        stray_docs,
    ],
    ids=lambda function: function.__name__,
)
def test_a_wrong_signature_is_refused_with_place_and_remedy(function):
    with pytest.raises(InvalidNode) as caught:
        declare(function)
    assert function.__name__ in caught.value.message and "line" in caught.value.message
    assert caught.value.hint


def fine(a: int = 1, folder: Annotated[str, Choice("checkpoints")] = "tiny.safetensors") -> Latent: ...


@pytest.mark.parametrize(
    "options",
    [
        {"id": "K Sampler"},
        {"id": " Sampler"},
        {"id": ""},
        {"id": "a:b"},
        {"category": " "},
        {"version": "1.0"},
        {"version": "v1.0.0"},
        {"version": "01.0.0"},
        {"lane": "gpu"},
        {"cache": "sometimes"},
        pytest.param({"needs": lambda a: ()}, id="needs"),
        pytest.param({"fingerprint": lambda b: ""}, id="fingerprint"),
        {"aliases": (Alias("Tested"),)},
        {"aliases": (Alias("Other "),)},
        {"aliases": (Alias("Other", inputs={"x": "b"}),)},
        {"aliases": (Alias("Other", outputs=("A", "B")),)},
        {"aliases": (Alias("Other", defaults={"a": "text"}),)},
        {"aliases": (Alias("Other", order=("b",)),)},
    ],
    ids=str,
)
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidNode) as caught:
        declare(fine, **options)
    assert caught.value.hint


def test_an_alias_may_not_hide_what_the_node_requires():
    def two(a: int, b: int) -> None: ...

    with pytest.raises(InvalidNode, match="leaves out b"):
        declare(two, aliases=(Alias("Other", order=("a",)),))


def test_needs_and_fingerprint_take_inputs_by_name():
    def pick(index: int, values: Variadic[Lazy[T]]) -> T: ...

    definition = declare(pick, needs=lambda index: (f"values{index}",), fingerprint=lambda index, ctx: index)
    assert definition.needs_inputs == ("index",) and definition.needs(index=2) == ("values2",)
    assert (definition.fingerprint_inputs, definition.fingerprint_context) == (("index",), "ctx")


def test_sockets_of_a_variadic_input_are_ordered_by_number():
    inputs: dict[str, Any] = dict.fromkeys(["images10", "images2", "images0", "images01", "images", "imagesx", "other1"])
    assert variadic_sockets(inputs, "images") == ["images0", "images2", "images10"]


def test_a_context_has_few_members():
    assert len([name for name in dir(Context()) if not name.startswith("_")]) <= 12

"""Writing a workflow in Python: the calls that compute also record."""

from __future__ import annotations

import pytest

from engine.errors import InvalidWorkflow
from engine.graph import Link, Workflow, validate
from tests.graph import sample_nodes as n

CATALOGUE = n.catalogue()


def test_calls_record_and_give_handles():
    with Workflow() as w:
        model, clip, vae = n.load_checkpoint("tiny.safetensors")
        latent = n.ksampler(model, n.encode("a circle", clip), n.encode("", clip), n.empty_latent(128, 128), seed=7)
        n.save_image(n.decode(latent, vae))
    assert list(w.nodes) == ["load_checkpoint", "encode", "encode_2", "empty_latent", "ksampler", "decode", "save_image"]
    assert w.nodes["ksampler"].inputs == {
        "model": Link("load_checkpoint", 0),
        "positive": Link("encode", 0),
        "negative": Link("encode_2", 0),
        "latent_image": Link("empty_latent", 0),
        "seed": 7,
    }
    assert w.nodes["decode"].inputs["vae"] == Link("load_checkpoint", 2)
    assert validate(w.flatten(CATALOGUE), CATALOGUE, strict=True).outputs == ("save_image",)


def test_outputs_of_a_named_tuple_go_by_name():
    with Workflow() as w:
        checkpoint = n.load_checkpoint("tiny.safetensors")
        n.encode("x", checkpoint.clip)
    assert w.nodes["encode"].inputs["clip"] == Link("load_checkpoint", 1)


def test_variadic_inputs_become_sockets():
    with Workflow() as w:
        n.join((n.options(), "b", "c"), separator="-")
    assert w.nodes["join"].inputs == {"texts0": Link("options", 0), "texts1": "b", "texts2": "c", "separator": "-"}


def test_recording_ends_with_the_block_and_nests():
    with Workflow() as outer:
        n.number(1)
        with Workflow() as inner:
            n.number(2)
        n.number(3)
    assert n.number(4) == 4
    assert [list(w.nodes) for w in (outer, inner)] == [["number", "number_2"], ["number"]]


def test_an_optional_none_is_left_out():
    with Workflow() as w:
        n.options(mask=None)
    assert w.nodes["options"].inputs == {}


def test_what_cannot_be_recorded_is_refused_at_the_call():
    with Workflow():
        image = n.load_image("cat.png").image
        saved = n.save_image(image)
        with pytest.raises(InvalidWorkflow, match="vae takes VAE and was given IMAGE"):
            n.decode(n.empty_latent(), image)
        with pytest.raises(InvalidWorkflow, match="node without outputs"):
            n.invert(saved)
        with pytest.raises(InvalidWorkflow, match="object"):
            n.invert(object())
        with pytest.raises(InvalidWorkflow, match="list of outputs"):
            n.total([n.number(1), n.number(2)])
        with pytest.raises(TypeError, match="missing a required argument: 'vae'"):
            n.decode(n.empty_latent())
        with pytest.raises(TypeError, match="unexpected keyword"):
            n.number(1, size=2)


def test_series_take_literal_lists():
    with Workflow() as w:
        n.preview_any(n.total([1, 2.5]))
    found = validate(w.flatten(CATALOGUE), CATALOGUE, strict=True)
    assert found.problems == () and found.graph.nodes["total"].inputs["numbers"] == [1.0, 2.5]
    assert w.to_json()["nodes"]["total"]["inputs"]["numbers"] == {"__value__": [1, 2.5]}

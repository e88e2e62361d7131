"""Group nodes of ComfyUI's editor, written by hand as its files hold them, against the prompt that ComfyUI sends for them."""

from __future__ import annotations

import time

import pytest

from engine.comfy.protocol.ui_workflow import read_ui_workflow
from engine.errors import InvalidWorkflow
from engine.graph.graph import Link
from engine.graph.limits import Limits
from engine.graph.workflow_reader import parse_document
from tests.comfy.test_ui_workflow import slot
from tests.graph import sample_nodes

CATALOGUE = sample_nodes.catalogue()
SAMPLER_SOCKETS = ("model", "positive", "negative", "latent_image")


def draw(converted=()):
    """The definition of a group that draws: an empty latent, a sampler that is also looked at from outside, a decoder."""
    sampler = {
        "type": "KSampler", "pos": [400, 10], "outputs": [{"name": "LATENT", "type": "LATENT"}],
        "inputs": [*(slot(name) for name in SAMPLER_SOCKETS), *(slot(name, widget={"name": name}) for name in converted)],
        "widgets_values": [7, "fixed", 20, 8, "euler", 1],
    }  # fmt: skip
    latent = {"type": "EmptyLatentImage", "pos": [0, 0], "outputs": [{"name": "LATENT", "type": "LATENT"}], "widgets_values": [16, 16, 1]}
    decoder = {"type": "VAEDecode", "inputs": [slot("samples"), slot("vae")], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}
    return {
        "nodes": [latent, sampler, decoder],
        "links": [[0, 0, 1, 3, 8, "LATENT"], [1, 0, 2, 0, 9, "LATENT"]],
        "external": [[1, 0, "LATENT"]],
    }


def document(groups, *nodes, links=()):
    loader = {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["tiny.safetensors"]}
    prompt = {"id": 7, "type": "CLIPTextEncode", "inputs": [slot("clip", 1)], "widgets_values": ["a cat"]}
    outside = [[1, 4, 1, 7, 0, "CLIP"], [2, 4, 0, 12, 0, "MODEL"], [3, 7, 0, 12, 1, "CONDITIONING"], [5, 4, 2, 12, 3, "VAE"], *links]
    return {"version": 0.4, "extra": {"groupNodes": groups}, "nodes": [loader, prompt, *nodes], "links": outside}


def instance(id, name="Draw", **more):
    return {
        "id": id,
        "type": f"workflow>{name}",
        "inputs": [slot("model", 2), slot("positive", 3), slot("negative", 3), slot("vae", 5)],
        **more,
    }


def prompt_of(given):
    """Class and inputs of each node as it runs, and the document."""
    workflow, notes = read_ui_workflow(given, CATALOGUE, Limits())
    written = workflow.to_json()
    assert parse_document(written).to_json() == written and notes == []
    graph = workflow.flatten(CATALOGUE, Limits())
    assert list(graph.problems) == []
    return {id: (node.type, node.inputs) for id, node in graph.nodes.items()}, written


SHARED = {"cfg": 8, "sampler_name": "euler", "denoise": 1, "model": Link("4", 0), "positive": Link("7", 0), "negative": Link("7", 0)}


@pytest.mark.parametrize("kind", ["workflow>Draw", "workflow/Draw"])
def test_a_group_node_is_the_prompt_that_comfyui_sends(kind):
    show = {"id": 20, "type": "PreviewImage", "inputs": [slot("images", 8)]}
    decode = {"id": 21, "type": "VAEDecode", "inputs": [slot("samples", 9), slot("vae", 10)]}
    first = instance(12, title="First", type=kind, widgets_values=[64, 32, 2, 99, "increment", 3, 8, "euler", 1])
    given = document({"Draw": draw()}, first, show, decode, links=[[8, 12, 1, 20, 0], [9, 12, 0, 21, 0], [10, 4, 2, 21, 1]])
    inputs, written = prompt_of(given)
    assert list(inputs) == ["4", "7", "12:0", "12:1", "12:2", "20", "21"]
    assert inputs["12:0"] == ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 2})
    assert inputs["12:1"] == ("KSampler", {**SHARED, "seed": 99, "steps": 3, "latent_image": Link("12:0", 0)})
    assert inputs["12:2"] == ("VAEDecode", {"samples": Link("12:1", 0), "vae": Link("4", 2)})
    assert (inputs["20"][1], inputs["21"][1]["samples"]) == ({"images": Link("12:2", 0)}, Link("12:1", 0))
    assert written["nodes"]["12"]["_meta"] == {"title": "First", "seed_policy": {"seed": "increment"}}
    definition = written["subgraphs"]["Draw"]
    assert list(definition["outputs"]) == ["LATENT", "IMAGE"] and definition["layout"]["nodes"]["1"] == {"pos": [400, 10]}
    assert definition["inputs"]["steps"] == {"type": "INT", "default": 20}


def test_values_that_an_instance_does_not_have_are_those_of_the_definition():
    inputs, _ = prompt_of(document({"Draw": draw()}, instance(12)))
    assert inputs["12:1"][1] == {**SHARED, "seed": 7, "steps": 20, "latent_image": Link("12:0", 0)}


def test_widgets_with_a_socket_are_values_or_sockets_as_the_saved_values_say():
    """Before every widget had a socket, only a converted one had, and none of the group's values was its own."""
    for values in ([64, 32, 2, 99, "fixed", 8, "euler", 1], [64, 32, 2, 99, "fixed", 5, 8, "euler", 1]):
        one = instance(12, widgets_values=values)
        inputs, _ = prompt_of(document({"Draw": draw(("steps",))}, one))
        assert inputs["12:1"][1] == {**SHARED, "seed": 99, "steps": 20 if len(values) == 8 else 5, "latent_image": Link("12:0", 0)}
        number = {"id": 30, "type": "PrimitiveNode", "widgets_values": [11, "fixed"]}
        one["inputs"].append(slot("steps", 6, widget={"name": "steps"}))
        inputs, _ = prompt_of(document({"Draw": draw(("steps",))}, one, number, links=[[6, 30, 0, 12, 4]]))
        assert inputs["12:1"][1]["steps"] == 11


def test_a_primitive_and_a_reroute_inside_and_names_that_clash():
    """The second of a name has the title of its node before it; a primitive is a widget of the group."""
    nodes = [
        {"type": "Reroute", "inputs": [slot("")], "outputs": [{"name": "", "type": "CLIP"}]},
        {"type": "CLIPTextEncode", "inputs": [slot("clip"), slot("text", widget={"name": "text"})], "widgets_values": ["old"],
         "outputs": [{"name": "CONDITIONING", "type": "CONDITIONING"}]},
        {"type": "CLIPTextEncode", "title": "Bad", "inputs": [slot("clip")], "widgets_values": ["ugly"],
         "outputs": [{"name": "CONDITIONING", "type": "CONDITIONING"}]},
        {"type": "EmptyLatentImage", "inputs": [slot("width", widget={"name": "width"}), slot("height", widget={"name": "height"})],
         "widgets_values": [16, 16, 1], "outputs": [{"name": "LATENT", "type": "LATENT"}]},
        {"type": "PrimitiveNode", "title": "Side", "outputs": [{"name": "INT"}], "widgets_values": [16]},
        {"type": "EmptyLatentImage", "widgets_values": [16, 16, 1], "outputs": [{"name": "LATENT", "type": "LATENT"}]},
    ]  # fmt: skip
    inner = [[0, 0, 1, 0, 1, "CLIP"], [0, 0, 2, 0, 1, "CLIP"], [4, 0, 3, 0, 2, "INT"], [4, 0, 3, 1, 3, "INT"]]
    config = {
        "5": {"input": {"batch_size": {"name": "how many"}}, "output": {"0": {"name": "second"}}},
        "0": {"output": {"0": {"visible": False}}},
    }
    group = {"nodes": nodes, "links": inner, "external": [], "config": config}
    values = ["a cat", "a dog", 3, 96, 24, 48, 5]
    one = {"id": 12, "type": "workflow>Both", "inputs": [slot("CLIP", 2)], "widgets_values": values}
    link = [[2, 4, 1, 12, 0, "CLIP"], [3, 12, 3, 40, 0], [5, 12, 2, 41, 0]]
    given = document(
        {"Both": group}, one, *({"id": id, "type": "VAEDecode", "inputs": [slot("samples", at)]} for id, at in ((40, 3), (41, 5)))
    )
    given["links"] = [given["links"][0], *link]
    inputs, written = prompt_of(given)
    assert list(written["subgraphs"]["Both"]["inputs"]) == [
        "value", "text", "Bad text", "batch_size", "Side value", "width", "height", "how many",
    ]  # fmt: skip
    assert inputs["12:1"][1] == {"text": "a cat", "clip": Link("4", 1)} and inputs["12:2"][1] == {"text": "a dog", "clip": Link("4", 1)}
    assert inputs["12:3"][1] == {"width": 96, "height": 96, "batch_size": 3}
    assert inputs["12:5"][1] == {"width": 24, "height": 48, "batch_size": 5}
    assert list(written["subgraphs"]["Both"]["outputs"]) == ["CONDITIONING", "CONDITIONING_2", "LATENT", "second"]
    assert inputs["40"][1] == {"samples": Link("12:5", 0)} and inputs["41"][1] == {"samples": Link("12:3", 0)}


def test_a_group_node_in_a_group_node():
    inner = {**instance(0), "outputs": [{"name": "LATENT"}, {"name": "IMAGE"}], "widgets_values": [64, 32, 2, 1, "fixed", 3, 8, "euler", 1]}
    outer = {"nodes": [inner, {"type": "PreviewImage", "inputs": [slot("images")]}], "links": [[0, 1, 1, 0, 1, "IMAGE"]]}
    values = [8, 16, 1, 42, "randomize", 4, 8, "euler", 1]
    inputs, written = prompt_of(document({"Whole": outer, "Draw": draw()}, instance(12, "Whole", widgets_values=values)))
    assert inputs["12:0:0"][1] == {"width": 8, "height": 16, "batch_size": 1}
    assert inputs["12:0:1"][1] == {**SHARED, "seed": 42, "steps": 4, "latent_image": Link("12:0:0", 0)}
    assert inputs["12:1"][1] == {"images": Link("12:0:2", 0)}
    assert list(written["subgraphs"]["Whole"]["outputs"]) == ["LATENT"]


def test_a_group_node_that_is_not_defined_stays_with_its_values():
    workflow, _ = read_ui_workflow({"nodes": [{"id": 1, "type": "workflow>Gone", "widgets_values": [1, "x"]}]}, CATALOGUE, Limits())
    node = workflow.to_json()["nodes"]["1"]
    assert node == {"class_type": "workflow>Gone", "inputs": {}, "_meta": {"widgets_values": [1, "x"]}}


def test_hostile_group_nodes_are_refused_or_read_without_harm():
    ring = {
        "nodes": [{"type": "workflow>Ring"}, {"type": "KSampler"}],
        "links": [[0, 0, 1, 0], [9, 9, 9, 9], ["x"], None, [-1, 0, 0, 0], [True, 0, 0, 0]],
    }
    odd = {"nodes": [{"type": "VAEDecode", "inputs": 5, "outputs": [7]}], "links": 3, "external": [[0], 4], "config": {"0": {"input": 3}}}
    groups = {
        "Ring": ring,
        "Odd": odd,
        "None": 5,
        "Empty": {},
        **{f"t{n}": {"nodes": [{"type": f"workflow>t{n + 1}"}]} for n in range(3_000)},
    }
    nodes = [{"id": n, "type": f"workflow>{name}"} for n, name in enumerate(("Ring", "Odd", "None", "Empty", "t0"))]
    given = {"nodes": nodes, "extra": {"groupNodes": groups}}
    with pytest.raises(InvalidWorkflow) as caught:
        read_ui_workflow(given, CATALOGUE, Limits())[0].flatten(CATALOGUE, Limits())
    assert caught.value.problems
    with pytest.raises(InvalidWorkflow):
        read_ui_workflow({"nodes": [], "extra": {"groupNodes": {"a": {"nodes": [5]}}}}, CATALOGUE, Limits())


def test_many_sockets_take_linear_time():
    wide = {"type": "Nonesuch", "inputs": [slot(f"s{n}") for n in range(30_000)]}
    began = time.process_time()
    read_ui_workflow(
        {"nodes": [{"id": 1, "type": "workflow>Wide"}], "extra": {"groupNodes": {"Wide": {"nodes": [wide]}}}}, CATALOGUE, Limits()
    )
    assert time.process_time() - began < 20

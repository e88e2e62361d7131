"""Workflows of ComfyUI's editor, written as its saved files are, against the API prompt that ComfyUI sends for them."""

from __future__ import annotations

import json

import pytest

from engine.comfy.protocol.ui_workflow import read_ui_workflow
from engine.errors import InvalidWorkflow, QuotaExceeded
from engine.graph.graph import Link
from engine.graph.limits import Limits
from engine.graph.strict_json import read_json
from engine.graph.workflow_reader import parse_document
from tests.graph import sample_nodes

CATALOGUE = sample_nodes.catalogue()


def read(document, limits=Limits()):
    return read_ui_workflow(document, CATALOGUE, limits)


def slot(name, link=None, **more):
    return {"name": name, "type": "*", "link": link, **more}


def text_to_image():
    """What the editor saves for its default graph: a reroute, a primitive, a converted widget, a note and a group in it."""
    return {
        "last_node_id": 30, "last_link_id": 30, "version": 0.4, "config": {}, "extra": {"ds": {"scale": 1, "offset": [0, 0]}},
        "nodes": [
            {"id": 4, "type": "CheckpointLoaderSimple", "pos": {"0": 26, "1": 474}, "size": [315, 98],
             "widgets_values": ["tiny.safetensors"]},
            {"id": 6, "type": "CLIPTextEncode", "pos": [415, 186.6], "mode": 0, "title": "Positive", "inputs": [slot("clip", 5)],
             "widgets_values": ["a cat"]},
            {"id": 7, "type": "CLIPTextEncode", "pos": [413, 389], "inputs": [slot("clip", 6)], "widgets_values": [""]},
            {"id": 5, "type": "EmptyLatentImage", "pos": [473, 609], "flags": {"collapsed": True}, "mode": 0,
             "inputs": [slot("width", 20, widget={"name": "width"})], "widgets_values": [512, 768, 2]},
            {"id": 20, "type": "PrimitiveNode", "outputs": [{"name": "INT", "type": "INT", "links": [20]}],
             "widgets_values": [640, "fixed"]},
            {"id": 21, "type": "Reroute", "inputs": [slot("", 3)], "outputs": [{"name": "", "links": [22]}]},
            {"id": 22, "type": "Reroute", "inputs": [slot("", 22)], "outputs": [{"name": "", "links": [1]}]},
            {"id": 3, "type": "KSampler", "pos": [863, 186], "mode": 4,
             "inputs": [slot("model", 1), slot("positive", 4), slot("negative", 8), slot("latent_image", 2)],
             "widgets_values": [18446744073709551615, "randomize", 20, 8, "euler", 1]},
            {"id": 8, "type": "VAEDecode", "inputs": [slot("samples", 7), slot("vae", 9)], "mode": 2},
            {"id": 9, "type": "Nonesuch", "inputs": [slot("images", 10), slot("gone", 99)], "widgets_values": ["kept", 7]},
            {"id": 10, "type": "Note", "pos": [1, 2], "widgets_values": ["read this"]},
        ],
        "links": [
            [1, 22, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 0, 21, 0, "MODEL"], [4, 6, 0, 3, 1, "CONDITIONING"],
            [5, 4, 1, 6, 0, "CLIP"], [6, 4, 1, 7, 0, "CLIP"], [7, 3, "0", 8, 0, "LATENT"], [8, 7, 0, 3, 2, "CONDITIONING"],
            [9, 4, 2, 8, 1, "VAE"], [10, 8, 0, 9, 0, "IMAGE"], [20, 20, 0, 5, 0, "INT"], [22, 21, 0, 22, 0, "*"],
        ],
        "groups": [{"title": "Prompts", "bounding": [400, 100, 300, 400], "color": "#3f789e"}, {"bounding": "odd"}],
    }  # fmt: skip


def test_it_is_the_prompt_that_comfyui_sends_and_looks_as_it_did():
    workflow, notes = read(text_to_image())
    document = workflow.to_json()
    assert notes == []
    inputs = {name: node["inputs"] for name, node in document["nodes"].items()}
    assert inputs == {
        "4": {"ckpt_name": "tiny.safetensors"},
        "6": {"text": "a cat", "clip": ["4", 1]},
        "7": {"text": "", "clip": ["4", 1]},
        "5": {"width": 640, "height": 768, "batch_size": 2},
        "3": {
            "seed": 18446744073709551615, "steps": 20, "cfg": 8, "sampler_name": "euler", "denoise": 1,
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
        "8": {"samples": ["3", 0], "vae": ["4", 2]},
        "9": {"images": ["8", 0]},
    }  # fmt: skip
    metas = {name: node.get("_meta") for name, node in document["nodes"].items()}
    assert metas["6"] == {"title": "Positive"} and metas["8"] == {"mode": "mute"}
    assert metas["3"] == {"mode": "bypass", "seed_policy": {"seed": "randomize"}}
    assert metas["9"] == {"widgets_values": ["kept", 7]}
    layout = document["layout"]
    assert layout["nodes"]["4"] == {"pos": [26, 474], "size": [315, 98]} and layout["nodes"]["5"]["collapsed"]
    assert layout["groups"] == [{"title": "Prompts", "pos": [400, 100], "size": [300, 400], "color": "#3f789e"}]
    assert layout["notes"] == [{"text": "read this", "pos": [1, 2]}]


def test_links_of_schema_1_and_values_by_name():
    document = {
        "version": 1,
        "nodes": [
            {"id": "a", "type": "EmptyLatentImage", "widgets_values": {"width": 64, "height": None}},
            {"id": "b", "type": "KSampler", "inputs": [slot("latent_image", 1)], "widgets_values": [1, "fixed"]},
        ],
        "links": [{"id": 1, "origin_id": "a", "origin_slot": 0, "target_id": "b", "target_slot": 0, "type": "LATENT"}],
    }
    workflow, notes = read(document)
    nodes = workflow.to_json()["nodes"]
    assert nodes["a"]["inputs"] == {"width": 64} and nodes["b"]["inputs"] == {"seed": 1, "latent_image": ["a", 0]}
    assert "no value for steps" in notes[0]


def test_values_that_belong_to_no_widget_are_told():
    values = [1, "fixed", 20, 8, "euler", "normal", 1]
    _, (note,) = read({"nodes": [{"id": 1, "type": "KSampler", "widgets_values": values}]})
    assert "1 value more" in note


def test_an_uploaded_pictures_button_is_no_value():
    workflow, notes = read({"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": ["cat.png", "image"]}]})
    assert workflow.to_json()["nodes"]["1"]["inputs"] == {"image": "cat.png"} and notes == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"nodes": [5]}, "invalid_node"),
        ({"nodes": [{"id": 1}]}, "invalid_node"),
        ({"nodes": [{"id": [], "type": "X"}]}, "invalid_node"),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": "abc", "nodes": [7]}]}}, "invalid_node"),
    ],
)
def test_what_cannot_be_read_is_said(document, code):
    with pytest.raises(InvalidWorkflow) as caught:
        read(document)
    assert caught.value.problems[0].code == code


def link(id, origin, slot, target, at):
    return {"id": id, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": at, "type": "*"}


def with_subgraphs():
    """What the editor saves for two instances of a subgraph with promoted widgets, in which a nested one decodes."""
    sampler = {
        "id": 5,
        "type": "KSampler",
        "pos": [400, 10],
        "widgets_values": [7, "fixed", 20, 8, "euler", 1],
        "inputs": [
            slot("model", 1),
            slot("positive", 2),
            slot("negative", 3),
            slot("latent_image", 4),
            slot("seed", 5, widget={"name": "seed"}),
            slot("steps", 6, widget={"name": "steps"}),
        ],
    }
    decoder = {"id": 6, "type": "decode-uuid", "inputs": [slot("samples", 7), slot("vae", 8)], "outputs": [{"name": "IMAGE"}]}
    draw = {
        "id": "draw-uuid", "name": "Draw", "version": 1, "nodes": [sampler, decoder], "groups": [],
        "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "inputs": [{"name": "model", "type": "MODEL"}, {"name": "positive", "type": "CONDITIONING"},
                   {"name": "negative", "type": "CONDITIONING"}, {"name": "latent", "type": "LATENT"},
                   {"name": "seed", "type": "INT"}, {"name": "steps", "type": "INT"}, {"name": "vae", "type": "VAE"}],
        "outputs": [{"name": "unused", "type": "MASK"}, {"name": "image", "type": "IMAGE"}, {"name": "latent", "type": "LATENT"}],
        "links": [link(1, -10, 0, 5, 0), link(2, -10, 1, 5, 1), link(3, -10, 2, 5, 2), link(4, -10, 3, 5, 3), link(5, -10, 4, 5, 4),
                  link(6, -10, 5, 5, 5), link(7, 5, 0, 6, 0), link(8, -10, 6, 6, 1), link(9, 6, 0, -20, 1), link(10, 5, 0, -20, 2)],
    }  # fmt: skip
    decode = {
        "id": "decode-uuid", "name": "Draw", "version": 1,
        "nodes": [{"id": 1, "type": "Reroute", "inputs": [slot("", 1)]},
                  {"id": 2, "type": "VAEDecode", "inputs": [slot("samples", 2), slot("vae", 3)]}],
        "inputs": [{"name": "samples", "type": "LATENT"}, {"name": "vae", "type": "VAE"}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        "links": [link(1, -10, 0, 1, 0), link(2, 1, 0, 2, 0), link(3, -10, 1, 2, 1), link(4, 2, 0, -20, 0)],
    }  # fmt: skip
    loader = {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["tiny.safetensors"]}
    prompt = {"id": 7, "type": "CLIPTextEncode", "inputs": [slot("clip", 1)], "widgets_values": ["a cat"]}
    latent = {"id": 8, "type": "EmptyLatentImage", "widgets_values": [64, 64, 1]}

    def instance(id, latent_link, **more):
        inputs = [slot("model", 2), slot("positive", 3), slot("negative", 3), slot("latent", latent_link), slot("seed"), slot("vae", 5)]
        return {"id": id, "type": "draw-uuid", "inputs": inputs, **more}

    return {
        "version": 0.4, "definitions": {"subgraphs": [draw, decode, 5, {"id": []}]},
        "nodes": [loader, prompt, latent, instance(12, 4, widgets_values=[99, 3], title="First"),
                  instance(13, 6, widgets_values=[98, "increment", 4], mode=4),
                  instance(14, 7, widgets_values=[]),
                  {"id": 20, "type": "PreviewImage", "inputs": [slot("images", 8)]}],
        "links": [[1, 4, 1, 7, 0], [2, 4, 0, 12, 0], [3, 7, 0, 12, 1], [4, 8, 0, 12, 3], [5, 4, 2, 12, 5], [6, 12, 2, 13, 3],
                  [7, 13, 2, 14, 3], [8, 14, 1, 20, 0], [9, 12, 0, 20, 0]],
    }  # fmt: skip


def test_subgraphs_are_what_comfyui_makes_of_them():
    """The prompt that ComfyUI sends: ids joined by colons, values of promoted widgets from the instance, else from inside."""
    workflow, notes = read(with_subgraphs())
    document = workflow.to_json()
    assert parse_document(document).to_json() == document and notes == []
    assert list(document["subgraphs"]) == ["Draw", "Draw_2"]
    assert document["subgraphs"]["Draw"]["inputs"]["steps"] == {"type": "INT", "default": 20}
    assert list(document["subgraphs"]["Draw"]["outputs"]) == ["image", "latent"]
    assert document["subgraphs"]["Draw"]["layout"]["nodes"]["5"] == {"pos": [400, 10]}
    assert document["nodes"]["12"]["class_type"] == "subgraph:Draw" and document["nodes"]["12"]["_meta"] == {"title": "First"}
    assert document["nodes"]["13"]["_meta"] == {"mode": "bypass", "seed_policy": {"seed": "increment"}}
    graph = workflow.flatten(CATALOGUE, Limits())
    assert list(graph.problems) == []
    inputs = {id: node.inputs for id, node in graph.nodes.items()}
    assert list(inputs) == ["4", "7", "8", "12:5", "12:6:2", "14:5", "14:6:2", "20"]
    shared = {"cfg": 8, "sampler_name": "euler", "denoise": 1, "model": Link("4", 0), "positive": Link("7", 0), "negative": Link("7", 0)}
    assert inputs["12:5"] == {**shared, "seed": 99, "steps": 3, "latent_image": Link("8", 0)}
    assert inputs["14:5"] == {**shared, "seed": 7, "steps": 20, "latent_image": Link("12:5", 0)}
    assert inputs["14:6:2"] == {"samples": Link("14:5", 0), "vae": Link("4", 2)}
    assert inputs["20"] == {"images": Link("14:6:2", 0)}


def test_reroutes_of_both_kinds_are_points_that_a_link_passes():
    document = {
        "nodes": [
            {"id": 1, "type": "EmptyLatentImage"},
            {"id": 2, "type": "Reroute", "pos": [100, 50], "size": [75, 26], "inputs": [slot("", 1)]},
            {"id": 3, "type": "KSampler", "inputs": [slot("latent_image", 2)]},
            {"id": 4, "type": "Reroute", "pos": [0, 0], "inputs": [slot("", 5)]},
            {"id": 5, "type": "VAEDecode", "inputs": [slot("samples", 4)]},
        ],
        "links": [[1, 1, 0, 2, 0], [2, 2, 0, 3, 3], [4, 4, 0, 5, 0], [5, 4, 0, 4, 0]],
        "extra": {
            "reroutes": [{"id": 7, "pos": [200, 60.4], "linkIds": [2]}, {"id": 8, "parentId": 7, "pos": [300, 70]},
                         {"id": 9, "parentId": 9, "pos": [1, 1]}, 5],
            "linkExtensions": [{"id": 2, "parentId": 8}, {"id": 5, "parentId": 9}, {}],
        },
    }  # fmt: skip
    workflow, _ = read(document)
    links = workflow.to_json()["layout"]["links"]
    assert links["3"] == {"latent_image": [[137, 63], [200, 60], [300, 70]]}
    assert len(links["5"]["samples"]) == 16  # a ring, which is cut


def test_subgraphs_that_contain_themselves_or_nest_without_end_are_refused():
    inner = {"id": 1, "type": "ring", "outputs": [{"name": "out"}]}
    ring = {"id": "ring", "nodes": [inner], "outputs": [{"name": "out"}], "links": [link(1, 1, 0, -20, 0)]}
    workflow, _ = read({"nodes": [{"id": 1, "type": "ring"}], "definitions": {"subgraphs": [ring]}})
    with pytest.raises(InvalidWorkflow) as caught:
        workflow.flatten(CATALOGUE, Limits())
    assert caught.value.problems[0].code == "subgraph_recursion"
    tower = [{**ring, "id": str(n), "nodes": [{**inner, "type": str(n + 1)}]} for n in range(5_000)]
    with pytest.raises(InvalidWorkflow) as caught:
        read({"nodes": [], "definitions": {"subgraphs": tower}})
    assert caught.value.problems[0].code == "subgraph_depth"


def test_reroutes_in_a_ring_and_odd_parts_of_any_kind_carry_nothing():
    ring = [{"id": n, "type": "Reroute", "inputs": [slot("", 3 - n)]} for n in (1, 2)]
    sink = {
        "id": 3,
        "type": "VAEDecode",
        "inputs": [slot("samples", 1), 5, slot("vae", {}), {"name": 5, "link": 1}],
        "pos": "x",
        "flags": [],
    }
    links = [[1, 1, 0, 3, 0], [2, 2, 0, 1, 0], [9, 3, "9" * 5000, 3], "odd", [1], {"id": None}]
    workflow, _ = read({"nodes": [*ring, sink], "links": links, "groups": 5, "definitions": []})
    assert workflow.to_json()["nodes"] == {"3": {"class_type": "VAEDecode", "inputs": {}}}


def test_too_many_nodes_are_refused():
    with pytest.raises((InvalidWorkflow, QuotaExceeded)):
        read({"nodes": [{"id": n, "type": "X"} for n in range(20)]}, Limits(nodes=10))


def test_a_saved_file_with_nan_in_it_is_read():
    text = json.dumps(text_to_image()).replace('"scale": 1', '"scale": NaN')
    assert len(read(read_json(text, nan=True))[0].nodes) == 7


def test_hashes_of_models_are_kept_where_a_missing_file_is_looked_for_by_them():
    def model(name, hash="AB" * 32, kind="SHA256", **more):
        return {"name": name, "directory": "loras", "hash": hash, "hash_type": kind, "url": "https://hub.example/x", **more}

    odd = [model("b"), model("short", "ab"), model("other", kind="md5"), model(5), {"name": "bare"}, 7]
    node = {"id": 1, "type": "VAEDecode", "properties": {"models": [model("c"), *odd]}}
    inner = {
        "id": "s",
        "nodes": [{"id": 1, "type": "X", "properties": {"models": [model("d", "cd" * 32)]}}, {"id": 2, "type": "X", "properties": 3}],
    }
    document = {"nodes": [node], "models": [model("a")], "definitions": {"subgraphs": [inner]}}
    found = read(document)[0].to_json()["requires"]
    assert found == {"models": {f"loras/{name}": f"sha256:{'ab' * 32}" for name in "acb"} | {"loras/d": f"sha256:{'cd' * 32}"}}
    assert "requires" not in read(text_to_image())[0].to_json()

"""Workflow documents: reading, writing, subgraphs, modes, aliases, migrations."""

from __future__ import annotations

import json

import pytest

from engine.errors import InvalidWorkflow, QuotaExceeded
from engine.graph import Limits, Link, MigrationInfo, Node, parse_document, parse_prompt
from engine.graph.api_format import api_prompt
from engine.graph.strict_json import read_json
from tests.graph import sample_nodes

CATALOGUE = sample_nodes.catalogue()


def document(nodes, **blocks):
    return {"format": "easel/1", "revision": 0, "nodes": nodes, **blocks}


def entry(class_type, mode=None, /, **inputs):
    return {"class_type": class_type, "inputs": inputs, **({"_meta": {"mode": mode}} if mode else {})}


def flat(nodes, **blocks):
    return parse_document(document(nodes, **blocks)).flatten(CATALOGUE)


def inputs_of(graph):
    return {id: node.inputs for id, node in graph.nodes.items()}


def codes(error):
    return [problem.code for problem in error.value.problems]


FULL = {
    "format": "easel/1",
    "revision": 7,
    "nodes": {
        "load": {
            "class_type": "LoadCheckpoint",
            "inputs": {"checkpoint": "tiny.safetensors"},
            "_meta": {"title": "Model", "mode": "run", "x": 1},
        },
        "10": {"class_type": "Total", "inputs": {"numbers": {"__value__": [1, 2.5]}}, "color": "red"},
        "9": {
            "class_type": "SomethingElse",
            "inputs": {"a": ["load", 0], "b": {"__value__": {"__value__": 1}}, "c": {"d": [1, 2]}, "e": None},
        },
        "up": {"class_type": "subgraph:upscale", "inputs": {"image": ["9", 0]}},
    },
    "subgraphs": {
        "upscale": {
            "inputs": {"image": {"type": "IMAGE", "note": "kept"}},
            "outputs": {"image": ["i", 0], "same": {"__input__": "image"}},
            "nodes": {"i": {"class_type": "InvertImage", "inputs": {"image": {"__input__": "image"}}}},
            "colour": "blue",
        }
    },
    "layout": {"nodes": {"load": {"pos": [420, -80.5], "size": [300, 260]}}, "links": {}, "groups": [], "notes": [], "view": {}},
    "requires": {"nodes": {"KSampler": "1.0.0"}, "models": {"checkpoints/tiny.safetensors": "sha256:0"}},
    "made_by": {"program": "another", "seed": 2**64 - 1},
}


def test_nothing_is_lost_and_the_order_is_stable():
    text = parse_document(json.dumps(FULL)).dumps()
    assert json.loads(text) == FULL
    assert list(json.loads(text)) == ["format", "revision", "nodes", "subgraphs", "layout", "requires", "made_by"]
    assert list(json.loads(text)["nodes"]) == ["load", "10", "9", "up"]
    assert parse_document(text).dumps() == text


def test_the_text_has_one_value_per_line():
    lines = parse_document(FULL).dumps().splitlines()
    assert '        "image": ["9", 0]' in lines
    assert any(line.strip() == '"pos": [420, -80.5],' for line in lines)


def test_texts_that_look_like_lists_are_not_touched():
    nodes = {"1": entry("X", text='[\n  "a",\n  1\n]', quote='say "[\n')}
    assert json.loads(parse_document(document(nodes)).dumps())["nodes"] == nodes


def test_a_bare_api_prompt_is_recognised():
    prompt = {
        "3": {"class_type": "KSampler", "inputs": {"seed": 5, "model": ["4", 0], "tags": {"__value__": ["a"]}}, "_meta": {"title": "S"}}
    }
    workflow = parse_document(json.dumps(prompt).encode())
    assert workflow.source == "api"
    assert workflow.nodes["3"].inputs == {"seed": 5, "model": Link("4", 0), "tags": ["a"]}
    assert workflow.to_json()["nodes"] == prompt
    assert parse_prompt(prompt).nodes == workflow.nodes
    assert parse_prompt({}).nodes == {}


def test_what_another_program_keeps_in_meta_is_left_alone():
    workflow = parse_prompt(
        {"1": {"class_type": "A", "_meta": "text", "is_changed": ["x"]}, "2": {"class_type": "A", "_meta": {"mode": 4}}}
    )
    assert workflow.nodes["1"].mode == workflow.nodes["2"].mode == "run"
    assert workflow.to_json()["nodes"]["1"] == {"class_type": "A", "inputs": {}, "is_changed": ["x"], "_meta": "text"}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ({"nodes": [], "links": [], "version": 0.4}, "ui_format"),
        ({}, "unknown_format"),
        ({"a": 1}, "unknown_format"),
        ("[]", "unknown_format"),
        ("3", "unknown_format"),
        ({"format": "easel/2", "nodes": {}}, "newer_format"),
        (document([]), "invalid_format"),
        (document({"1": 3}), "invalid_node"),
        (document({"1": {"inputs": {}}}), "missing_class_type"),
        (document({"1": {"class_type": ["a"]}}), "missing_class_type"),
        (document({"1": {"class_type": "A", "inputs": []}}), "invalid_node"),
        (document({"1": entry("A", "off")}), "bad_mode"),
        (document({"1": {"class_type": "A", "_meta": {"mode": []}}}), "bad_mode"),
        (document({"x" * 2000: entry("A")}), "invalid_node"),
        (document({}, revision=-1), "bad_revision"),
        (document({}, layout=3), "invalid_format"),
        (document({}, subgraphs={"a": 3}), "invalid_format"),
        (document({}, subgraphs={"a": {"outputs": {"x": 1}}}), "bad_subgraph_output"),
        (document({}, subgraphs={"a": {"inputs": {"x": {"type": 1}}}}), "bad_subgraph_input"),
        (document({}, requires={"nodes": {"A": 1}}), "bad_requires"),
    ],
)
def test_faults_of_structure(source, code):
    with pytest.raises(InvalidWorkflow) as caught:
        parse_document(source)
    assert codes(caught) == [code]
    assert caught.value.problems[0].hint


def test_all_faults_of_structure_are_told_at_once():
    with pytest.raises(InvalidWorkflow) as caught:
        parse_document(document({"1": 3, "2": {"inputs": {}}, "3": entry("A", "off")}, revision="x"))
    assert codes(caught) == ["bad_revision", "invalid_node", "missing_class_type", "bad_mode"]
    assert [problem.node_id for problem in caught.value.problems] == [None, "1", "2", "3"]


@pytest.mark.parametrize(
    ("value", "read"),
    [(["a", 0], Link("a", 0)), ({"__value__": ["a", 0]}, ["a", 0]), ({"a": 1}, {"a": 1}), ({"__value__": 3}, 3)],
)
def test_links_and_literals(value, read):
    assert parse_prompt({"1": entry("A", x=value)}).nodes["1"].inputs["x"] == read


def test_aliases_get_canonical_names():
    graph = flat({"c": entry("CheckpointLoaderSimple", ckpt_name="tiny.safetensors")})
    assert graph.nodes["c"] == Node("c", "LoadCheckpoint", {"checkpoint": "tiny.safetensors"}, "CheckpointLoaderSimple")
    assert api_prompt(graph, CATALOGUE, "submitted") == {"c": entry("CheckpointLoaderSimple", ckpt_name="tiny.safetensors")}
    assert api_prompt(graph, CATALOGUE, "canonical") == {"c": entry("LoadCheckpoint", checkpoint="tiny.safetensors")}


def test_pictures_carry_the_ids_that_comfyui_knows():
    graph = flat(
        {"c": entry("LoadCheckpoint", checkpoint="x"), "n": {**entry("Total", numbers={"__value__": [1]}), "_meta": {"title": "Sum"}}}
    )
    assert api_prompt(graph, CATALOGUE) == {
        "c": entry("CheckpointLoaderSimple", ckpt_name="x"),
        "n": {"class_type": "Total", "inputs": {"numbers": {"__value__": [1]}}, "_meta": {"title": "Sum"}},
    }


SUBGRAPHS = {
    "invert": {
        "inputs": {"picture": {"type": "IMAGE"}, "strength": {"type": "FLOAT", "default": 0.5}},
        "outputs": {"done": ["i", 0], "raw": {"__input__": "picture"}},
        "nodes": {"i": entry("InvertImage", image={"__input__": "picture"}, strength={"__input__": "strength"})},
    },
    "twice": {
        "inputs": {"picture": {"type": "IMAGE"}},
        "outputs": {"done": ["b", 0]},
        "nodes": {
            "a": entry("subgraph:invert", picture={"__input__": "picture"}, strength=1.5),
            "b": entry("subgraph:invert", picture=["a", 0]),
        },
    },
}


def test_subgraphs_are_laid_flat():
    graph = flat(
        {
            "load": entry("LoadImage", image="cat.png"),
            "t": entry("subgraph:twice", picture=["load", 0]),
            "s": entry("SaveImage", images=["t", 0]),
        },
        subgraphs=SUBGRAPHS,
    )
    assert graph.problems == ()
    assert inputs_of(graph) == {
        "load": {"image": "cat.png"},
        "t:a:i": {"image": Link("load", 0), "strength": 1.5},
        "t:b:i": {"image": Link("t:a:i", 0), "strength": 0.5},
        "s": {"images": Link("t:b:i", 0)},
    }


def test_an_output_may_pass_an_input_through():
    graph = flat(
        {"l": entry("LoadImage"), "v": entry("subgraph:invert", picture=["l", 0]), "s": entry("SaveImage", images=["v", 1])},
        subgraphs=SUBGRAPHS,
    )
    assert graph.nodes["s"].inputs == {"images": Link("l", 0)}


def test_wrong_uses_of_subgraphs_are_problems_at_their_place():
    graph = flat(
        {
            "a": entry("subgraph:invrt"),
            "b": entry("subgraph:invert", image=1),
            "c": entry("SaveImage", images=["b", 2]),
            "d": entry("InvertImage", image={"__input__": "x"}),
            "e": entry("subgraph:invert"),
            "e:i": entry("LoadImage"),
        },
        subgraphs=SUBGRAPHS,
    )
    assert [(problem.code, problem.node_id, problem.input) for problem in graph.problems] == [
        ("unknown_subgraph", "a", None),
        ("unknown_input", "b", "image"),
        ("bad_linked_input", "c", "images"),
        ("unknown_input", "d", "image"),
        ("duplicate_id", "e:i", None),
    ]
    assert "invert" in graph.problems[0].hint and "picture" in graph.problems[1].hint
    assert all(problem.hint for problem in graph.problems)


def test_a_subgraph_that_contains_itself_is_refused():
    subgraphs = {
        "a": {"nodes": {"x": entry("subgraph:b")}},
        "b": {"nodes": {"x": entry("subgraph:c")}},
        "c": {"nodes": {"y": entry("subgraph:b")}},
    }
    with pytest.raises(InvalidWorkflow, match="b > c > b"):
        flat({"1": entry("subgraph:a")}, subgraphs=subgraphs)


def test_subgraphs_that_unfold_without_end_are_refused_before_they_do():
    bomb = {f"s{n}": {"nodes": {"l": entry(f"subgraph:s{n + 1}"), "r": entry(f"subgraph:s{n + 1}")}} for n in range(50)}
    bomb["s50"] = {"nodes": {"n": entry("Number", value=1)}}
    with pytest.raises(QuotaExceeded, match="200000 nodes"):
        flat({"1": entry("subgraph:s0")}, subgraphs=bomb)
    deep = {f"s{n}": {"nodes": {"l": entry(f"subgraph:s{n + 1}")}} for n in range(5_000)}
    with pytest.raises(QuotaExceeded, match="deeper than 64"):
        flat({"1": entry("subgraph:s0")}, subgraphs=deep)


def test_a_muted_node_is_absent_and_so_are_links_to_it():
    graph = flat(
        {"l": entry("LoadImage", "mute"), "i": entry("InvertImage", image=["l", 0], strength=2.0), "s": entry("SaveImage", images=["i", 0])}
    )
    assert inputs_of(graph) == {"i": {"strength": 2.0}, "s": {"images": Link("i", 0)}}


def test_a_link_to_a_node_that_never_was_stays():
    assert flat({"l": entry("LoadImage", "mute"), "s": entry("SaveImage", images=["x", 0])}).nodes["s"].inputs == {"images": Link("x", 0)}


def test_a_bypassed_node_forwards_the_input_of_the_same_type():
    graph = flat(
        {
            "c": entry("LoadCheckpoint"),
            "e": entry("EmptyLatentImage"),
            "k": entry("KSampler", "bypass", model=["c", 0], latent_image=["e", 0], seed=3),
            "k2": entry("KSampler", "bypass", latent_image=["k", 0]),
            "d": entry("VAEDecode", samples=["k2", 0], vae=["c", 2]),
            "p": entry("PreviewAny", source=["k2", 0]),
        }
    )
    assert "k" not in graph.nodes and "k2" not in graph.nodes
    assert graph.nodes["d"].inputs["samples"] == Link("e", 0)
    assert graph.nodes["p"].inputs["source"] == Link("e", 0)


def test_bypass_without_a_fitting_input_gives_nothing():
    graph = flat(
        {
            "e": entry("EmptyLatentImage", "bypass"),
            "l": entry("LoadImage", "bypass", image="cat.png"),
            "d": entry("VAEDecode", samples=["e", 0], vae=["l", 0]),
        }
    )
    assert graph.nodes["d"].inputs == {}


def test_bypass_forwards_literals_and_keeps_to_the_type():
    graph = flat(
        {
            "n": entry("Number", "bypass", value=5),
            "i": entry("If", "bypass", condition=True, when_true=["n", 0], when_false=7),
            "p": entry("Number", value=["n", 0]),
            "q": entry("PreviewAny", source=["i", 0]),
        }
    )
    assert graph.nodes["p"].inputs == {"value": 5}
    assert graph.nodes["q"].inputs == {"source": True}  # anything goes, so the input at the output's place, as in ComfyUI


def test_modes_of_instances():
    nodes = {
        "l": entry("LoadImage", image="cat.png"),
        "v": entry("subgraph:invert", "bypass", picture=["l", 0]),
        "s": entry("SaveImage", images=["v", 0]),
    }
    graph = flat(nodes, subgraphs=SUBGRAPHS)
    assert inputs_of(graph) == {"l": {"image": "cat.png"}, "s": {"images": Link("l", 0)}}
    nodes["v"]["_meta"]["mode"] = "mute"
    assert inputs_of(flat(nodes, subgraphs=SUBGRAPHS)) == {"l": {"image": "cat.png"}, "s": {}}


def test_a_ring_of_bypassed_nodes_is_a_problem():
    graph = flat(
        {
            "a": entry("InvertImage", "bypass", image=["b", 0]),
            "b": entry("InvertImage", "bypass", image=["a", 0]),
            "s": entry("SaveImage", images=["a", 0]),
        }
    )
    assert [(problem.code, problem.node_id) for problem in graph.problems] == [("dependency_cycle", "s")]


def test_long_chains_of_bypassed_nodes_are_walked_once():
    nodes = {"0": entry("LoadImage", image="cat.png")}
    nodes.update({str(n): entry("InvertImage", "bypass", image=[str(n - 1), 0]) for n in range(1, 5_000)})
    nodes.update({f"s{n}": entry("SaveImage", images=["4999", 0]) for n in range(5_000)})
    graph = flat(nodes)
    assert len(graph.nodes) == 5_001 and graph.nodes["s4999"].inputs == {"images": Link("0", 0)}


def test_old_files_are_migrated():
    steps = (
        MigrationInfo(version="2.0.0", rename={"method": "sampler_name"}, values={"sampler_name": {"dpm2": "dpmpp_2m"}}),
        MigrationInfo(version="3.0.0", defaults={"denoise": 0.5}),
    )
    info = CATALOGUE.nodes["KSampler"].model_copy(update={"version": "3.1.0", "migrations": steps})
    catalogue = CATALOGUE.model_copy(update={"nodes": {**CATALOGUE.nodes, "KSampler": info}})
    nodes = {"k": entry("KSampler", method="dpm2"), "l": entry("KSampler", sampler_name="euler", denoise=1.0)}

    def read(version):
        requires = {"nodes": {"KSampler": version}} if version else {}
        return inputs_of(parse_document(document(nodes, requires=requires)).flatten(catalogue))

    assert read("1.4.0") == {"k": {"sampler_name": "dpmpp_2m", "denoise": 0.5}, "l": {"sampler_name": "euler", "denoise": 1.0}}
    assert read("2.10.0")["k"] == {"method": "dpm2", "denoise": 0.5}
    assert read("3.1.0")["k"] == read(None)["k"] == read("unreadable")["k"] == {"method": "dpm2"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON: line 1"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "Infinity is not"),
        ('{"a": 1e999}', "JSON does not have"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
        (b'{"a": "\xff"}', "not UTF-8: byte 7"),
        ('{"a": ' + "9" * 5_000 + "}", "cannot be read"),
        ("", "not JSON"),
        ('{"a": 1} x', "Extra data"),
    ],
)
def test_json_that_is_refused(text, words):
    with pytest.raises(InvalidWorkflow, match=words) as caught:
        read_json(text)
    assert codes(caught) == ["invalid_json"] and caught.value.problems[0].hint


def test_json_that_is_accepted():
    assert read_json(b'\xef\xbb\xbf{"seed": 18446744073709551615, "text": "\\ud83d\\ude00 \xc3\xa4"}') == {
        "seed": 2**64 - 1,
        "text": "😀 ä",
    }


def test_limits_are_limits():
    limits = Limits(body_bytes=1_000, nodes=3, depth=5)
    with pytest.raises(QuotaExceeded, match="1000"):
        parse_document(b" " * 1_001, limits)
    subgraphs = {"a": {"nodes": {"1": entry("A"), "2": entry("A")}}}
    with pytest.raises(QuotaExceeded, match="3 nodes"):
        parse_document(document({"1": entry("A"), "2": entry("A")}, subgraphs=subgraphs), Limits(nodes=3))
    with pytest.raises(QuotaExceeded, match="deeper than 5"):
        read_json("[" * 6 + "]" * 6, limits)
    assert read_json("[" * 5 + "]" * 5, limits) == [[[[[]]]]]
    for depth in (900, 100_000):
        with pytest.raises(QuotaExceeded):
            read_json('{"a":' * depth + "1" + "}" * depth)

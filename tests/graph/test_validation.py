"""Validation: every problem at once, strict as the documented API is and lenient as ComfyUI is."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from engine.errors import InvalidWorkflow
from engine.graph import Graph, Limits, Link, Node, parse_document, parse_prompt, validate
from tests.graph import sample_nodes

CATALOGUE = sample_nodes.catalogue()


def entry(class_type, /, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def graph_of(nodes) -> Graph:
    return parse_prompt(nodes).flatten(CATALOGUE)


def strict(nodes, **options):
    return validate(graph_of(nodes), CATALOGUE, strict=True, **options)


def lenient(nodes, **options):
    return validate(graph_of(nodes), CATALOGUE, strict=False, **options)


def found(validated):
    return [(problem.node_id, problem.input, problem.code) for problem in validated.problems]


def text_to_image(**sampler) -> dict[str, Any]:
    return {
        "ckpt": entry("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
        "pos": entry("CLIPTextEncode", text="a circle", clip=["ckpt", 1]),
        "neg": entry("CLIPTextEncode", text="", clip=["ckpt", 1]),
        "empty": entry("EmptyLatentImage", width=128, height=128, batch_size=1),
        "k": entry(
            "KSampler",
            **{
                "model": ["ckpt", 0],
                "positive": ["pos", 0],
                "negative": ["neg", 0],
                "latent_image": ["empty", 0],
                "seed": 1,
                "steps": 20,
                "cfg": 7.5,
                "sampler_name": "euler",
                "denoise": 1.0,
                **sampler,
            },
        ),
        "dec": entry("VAEDecode", samples=["k", 0], vae=["ckpt", 2]),
        "save": entry("SaveImage", images=["dec", 0], filename_prefix="x"),
    }


@pytest.mark.parametrize("check", [strict, lenient])
def test_a_sound_graph_passes(check):
    result = check(text_to_image())
    assert (result.outputs, result.failed, result.problems, result.invalid) == (("save",), (), (), frozenset())
    result.raise_for_problems()


def test_validation_changes_nothing_it_is_given():
    graph = graph_of(text_to_image(steps="25", cfg="7", extra=1))
    before = copy.deepcopy(graph)
    result = validate(graph, CATALOGUE, strict=False)
    assert graph == before
    assert result.graph.nodes["k"].inputs["steps"] == 25 and result.graph.nodes["k"].inputs["cfg"] == 7.0
    assert result.graph.nodes["k"].undeclared == {"extra": 1} and "extra" not in result.graph.nodes["k"].inputs


def test_every_problem_is_told_at_once_in_the_order_of_the_graph():
    nodes = text_to_image(seed=-1, steps=0, cfg=101, sampler_name="eulr", denoise="x", latent_image=["ckpt", 2])
    nodes["pos"]["inputs"].pop("clip")
    nodes["dec"]["inputs"]["vae"] = ["nowhere", 0]
    result = strict(nodes)
    assert found(result) == [
        ("pos", "clip", "required_input_missing"),
        ("k", "latent_image", "return_type_mismatch"),
        ("k", "seed", "value_smaller_than_min"),
        ("k", "steps", "value_smaller_than_min"),
        ("k", "cfg", "value_bigger_than_max"),
        ("k", "sampler_name", "value_not_in_list"),
        ("k", "denoise", "invalid_input_type"),
        ("dec", "vae", "bad_linked_input"),
    ]
    assert all(problem.hint and problem.message and problem.details["input_name"] == problem.input for problem in result.problems)
    assert result.outputs == () and result.failed == ("save",) and result.invalid == {"pos", "k", "dec", "save"}
    with pytest.raises(InvalidWorkflow, match="and 7 more"):
        result.raise_for_problems()


def test_problems_carry_what_comfyui_clients_read():
    result = lenient(text_to_image(steps=20_000, latent_image=["ckpt", 2], sampler_name="eulr", cfg="much"))
    by_input = {problem.input: problem for problem in result.problems}
    assert by_input["steps"].details == {"input_name": "steps", "received_value": 20_000}
    assert by_input["latent_image"].details == {"input_name": "latent_image", "received_type": "VAE", "linked_node": ["ckpt", 2]}
    assert by_input["cfg"].details["received_value"] == "much" and "could not convert" in by_input["cfg"].details["exception_message"]
    assert by_input["sampler_name"].details["received_value"] == "eulr" and "euler" in by_input["sampler_name"].hint
    assert by_input["steps"].message == "Node 'k' (KSampler), input 'steps': Value 20000 bigger than max of 10000."


INVALID = "invalid_input_type"


@pytest.mark.parametrize(
    ("name", "value", "in_strict", "in_lenient"),
    [
        ("steps", 25, 25, 25),
        ("steps", 2.9, INVALID, 2),
        ("steps", 2.0, INVALID, 2),
        ("steps", "7", INVALID, 7),
        ("steps", "x", INVALID, INVALID),
        ("steps", True, INVALID, 1),
        ("steps", None, INVALID, INVALID),
        ("steps", {"a": 1}, INVALID, INVALID),
        ("steps", {"__value__": 25}, 25, 25),
        ("steps", {"__value__": [25]}, INVALID, INVALID),
        ("steps", 10**30, "value_bigger_than_max", "value_bigger_than_max"),
        ("steps", 1e30, INVALID, "value_bigger_than_max"),
        ("seed", 2**64 - 1, 2**64 - 1, 2**64 - 1),
        ("seed", 2**64, "value_bigger_than_max", "value_bigger_than_max"),
        ("cfg", 7, 7.0, 7.0),
        ("cfg", "7.5", INVALID, 7.5),
        ("cfg", "nan", INVALID, INVALID),
        ("cfg", "inf", INVALID, INVALID),
        ("cfg", 10**400, INVALID, INVALID),
        ("cfg", False, INVALID, 0.0),
        ("sampler_name", "heun", "heun", "heun"),
        ("sampler_name", 1, "value_not_in_list", "value_not_in_list"),
        ("sampler_name", {"a": []}, "value_not_in_list", "value_not_in_list"),
        ("sampler_name", None, "value_not_in_list", "value_not_in_list"),
        ("model", "tiny", "link_required", "link_required"),
        ("model", None, "link_required", "link_required"),
        ("model", ["ckpt", 3], "bad_linked_input", "bad_linked_input"),
        ("model", ["ckpt", -1], "bad_linked_input", "bad_linked_input"),
        ("model", ["ckpt", 2**80], "bad_linked_input", "bad_linked_input"),
        ("model", ["ckpt", True], "bad_linked_input", "bad_linked_input"),
        ("model", ["ckpt"], "bad_linked_input", "bad_linked_input"),
        ("model", [], "bad_linked_input", "bad_linked_input"),
        ("model", [4, 0], "bad_linked_input", "bad_linked_input"),
        ("model", ["ckpt", 0, 0], "bad_linked_input", "bad_linked_input"),
        ("model", ["no", 0], "bad_linked_input", "bad_linked_input"),
        ("seed", ["dec", 0], "return_type_mismatch", "return_type_mismatch"),
    ],
)
def test_values(name, value, in_strict, in_lenient):
    for check, expected in ((strict, in_strict), (lenient, in_lenient)):
        nodes = text_to_image(**{name: value})
        nodes["dec2"] = entry("VAEDecode", samples=["empty", 0], vae=["ckpt", 2])
        if value == ["dec", 0]:
            nodes["k"]["inputs"][name] = ["dec2", 0]
        result = check(nodes)
        if isinstance(expected, str) and expected not in ("heun",):
            assert found(result) == [("k", name, expected)], check.__name__
            assert result.outputs == ()
        else:
            assert result.problems == (), check.__name__
            got = result.graph.nodes["k"].inputs[name]
            assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "in_strict", "in_lenient"), [("false", INVALID, True), (0, INVALID, False), ("", INVALID, False), (True, True, True)]
)
def test_booleans(value, in_strict, in_lenient):
    for check, expected in ((strict, in_strict), (lenient, in_lenient)):
        result = check({"o": entry("Options", flag=value, code="a"), "p": entry("PreviewAny", source=["o", 0])})
        if expected == INVALID:
            assert found(result) == [("o", "flag", INVALID)]
        else:
            assert result.graph.nodes["o"].inputs["flag"] is expected


def test_texts_have_a_pattern_and_a_length():
    def codes(code, **options):
        return [
            problem.code
            for problem in strict({"o": entry("Options", code=code), "p": entry("PreviewAny", source=["o", 0])}, **options).problems
        ]

    assert codes("abc") == [] and codes("ABC") == ["value_not_matching"] and codes("abcdef") == ["value_too_long"]
    assert codes("abc", limits=Limits(text_chars=2)) == ["value_too_long"]
    assert codes(3) == [INVALID]


def test_an_optional_input_may_be_null_or_absent():
    for check in (strict, lenient):
        result = check({"o": entry("Options", mask=None, code="", flag=False), "p": entry("PreviewAny", source=["o", 0])})
        assert result.problems == () and "mask" not in result.graph.nodes["o"].inputs


def test_numbers_a_key_as_a_node_id_get_the_right_hint():
    (problem,) = strict(text_to_image(model=[4, 0])).problems
    assert '["4", 0]' in problem.hint
    (problem,) = strict(text_to_image(model=["a", "b", "c"])).problems
    assert "__value__" in problem.hint


def test_a_link_to_the_wrong_output_names_the_right_one():
    (problem,) = strict(text_to_image(model=["ckpt", 2])).problems
    assert problem.code == "return_type_mismatch" and "output 0 is MODEL" in problem.hint


def test_defaults_are_filled_in_strictly_and_asked_for_leniently():
    nodes = {"e": entry("EmptyLatentImage", width=64), "p": entry("PreviewAny", source=["e", 0])}
    assert strict(nodes).graph.nodes["e"].inputs == {"width": 64, "height": 512, "batch_size": 1}
    assert found(lenient(nodes)) == [("e", "height", "required_input_missing"), ("e", "batch_size", "required_input_missing")]


def test_inputs_that_comfyui_does_not_know_are_filled_in_everywhere():
    nodes = {
        "c": entry("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
        "n": entry("Number", value=1),
        "p": entry("PreviewAny", source=["c", 0]),
    }
    nodes["q"] = entry("PreviewAny", source=["n", 0])
    result = lenient(nodes)
    assert result.problems == ()
    assert result.graph.nodes["c"].inputs == {"checkpoint": "tiny.safetensors", "precision": "auto"}
    assert result.graph.nodes["n"].inputs == {"value": 1, "loops": 1}


def test_problems_use_the_names_that_the_client_used():
    assert found(lenient({"c": entry("CheckpointLoaderSimple"), "p": entry("PreviewAny", source=["c", 0])})) == [
        ("c", "ckpt_name", "required_input_missing")
    ]
    assert found(lenient({"c": entry("LoadCheckpoint"), "p": entry("PreviewAny", source=["c", 0])}))[0] == (
        "c",
        "checkpoint",
        "required_input_missing",
    )


def test_unknown_files_name_their_neighbours():
    (problem,) = strict({**text_to_image(), "ckpt": entry("LoadCheckpoint", checkpoint="tyni.safetensors")}).problems
    assert problem.code == "value_not_in_list" and "tiny.safetensors" in problem.hint


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cat.png", None),
        ("cat.png [input]", None),
        ("made.png [output]", None),
        ("cat.png [output]", "value_not_in_list"),
        ("anything.png [temp]", None),  # the catalogue does not list temp; the worker looks
        ("made.png", "value_not_in_list"),
        ("../cat.png", "value_not_in_list"),
    ],
)
def test_pictures_may_say_where_they_are(name, code):
    result = strict({"l": entry("LoadImage", image=name), "p": entry("PreviewAny", source=["l", 0])})
    assert [problem.code for problem in result.problems] == ([code] if code else [])
    assert code or result.graph.nodes["l"].inputs["image"] == name


def test_a_path_written_on_windows_finds_its_file():
    result = lenient({"l": entry("CheckpointLoaderSimple", ckpt_name="sub\\small.safetensors"), "p": entry("PreviewAny", source=["l", 0])})
    assert result.graph.nodes["l"].inputs["checkpoint"] == "sub/small.safetensors"


def test_no_file_at_all_says_so():
    catalogue = CATALOGUE.model_copy(update={"files": {"checkpoints": ()}})
    (problem,) = validate(graph_of(text_to_image()), catalogue, strict=True).problems
    assert problem.code == "value_not_in_list" and "no file in checkpoints" in problem.hint


def test_unknown_inputs():
    nodes = text_to_image(stepz=3)
    (problem,) = strict(nodes).problems
    assert (problem.code, problem.input) == ("unknown_input", "stepz") and "steps" in problem.hint
    assert lenient(nodes).problems == ()
    nodes = text_to_image(other=["save", 0], more=["nowhere", 0])
    assert found(lenient(nodes)) == [("k", None, "dependency_cycle"), ("k", "more", "bad_linked_input")]


def test_unknown_classes():
    nodes = {**text_to_image(), "x": entry("KSamplr"), "y": entry("NoSuchThingAtAll"), "z": entry("InvertImage", image=["y", 0])}
    for check in (strict, lenient):
        result = check(nodes)
        assert found(result) == [("x", None, "unknown_node"), ("y", None, "unknown_node")]
        assert "KSampler" in result.problems[0].hint and result.problems[0].details == {"class_type": "KSamplr"}
    assert strict(nodes, targets=["save"]).outputs == ("save",)
    assert found(strict(nodes, targets=["z"])) == [("y", None, "unknown_node")]


def test_only_what_an_output_reaches_is_looked_at():
    nodes = {**text_to_image(), "loose": entry("VAEDecode"), "loose2": entry("KSampler", steps="x")}
    assert strict(nodes).problems == lenient(nodes).problems == ()
    assert found(strict(nodes, targets=["loose"])) == [
        ("loose", "samples", "required_input_missing"),
        ("loose", "vae", "required_input_missing"),
    ]


def test_lenient_runs_the_outputs_that_are_valid():
    nodes = {
        **text_to_image(),
        "bad": entry("SaveImage", images=["dec", 0], filename_prefix="y"),
        "inv": entry("InvertImage", image=["k", 0], strength=1),
    }
    nodes["bad"]["inputs"]["images"] = ["inv", 0]
    result = lenient(nodes)
    assert result.outputs == ("save",) and result.failed == ("bad",) and result.invalid == {"inv", "bad"}
    assert found(result) == [("inv", "image", "return_type_mismatch")]
    assert strict(nodes).outputs == () and strict(nodes).failed == ("save", "bad")


def test_targets():
    nodes = {**text_to_image(), "p": entry("PreviewAny", source=["k", 0])}
    assert lenient(nodes, targets=["p"]).outputs == ("p",)
    assert lenient(nodes, targets=["k", "gone", "p"]).outputs == ("p",)
    assert found(lenient(nodes, targets=[])) == [(None, None, "prompt_no_outputs")]
    assert strict(nodes, targets=["k"]).outputs == ("k",)
    result = strict(nodes, targets=["k", "kk"])
    assert found(result) == [(None, None, "unknown_target")] and result.outputs == ()


def test_no_outputs():
    for check in (strict, lenient):
        assert found(check({})) == found(check({"n": entry("Number", value=1)})) == [(None, None, "prompt_no_outputs")]


def test_cycles_are_found_and_named():
    nodes = {
        "a": entry("InvertImage", image=["c", 0], strength=1.0),
        "b": entry("InvertImage", image=["a", 0], strength=1.0),
        "c": entry("InvertImage", image=["b", 0], strength=1.0),
        "s": entry("SaveImage", images=["c", 0], filename_prefix="x"),
        "self": entry("InvertImage", image=["self", 0], strength=1.0),
        "t": entry("SaveImage", images=["self", 0], filename_prefix="x"),
        "fine": entry("PreviewAny", source="text"),
    }
    result = lenient(nodes)
    assert found(result) == [("a", None, "dependency_cycle"), ("self", None, "dependency_cycle")]
    assert result.problems[0].details == {"nodes": ["c", "b", "a"]}
    assert "c > b > a > c" in result.problems[0].message
    assert result.outputs == ("fine",) and result.failed == ("s", "t")


def test_a_diamond_is_no_cycle():
    nodes: dict[str, Any] = {"0": entry("Number", value=1, loops=1)}
    for n in range(1, 40):
        nodes[str(n)] = entry("Number", value=[str(n - 1), 0], loops=[str(n - 1), 0])
    nodes["p"] = entry("PreviewAny", source=["39", 0])
    assert strict(nodes).outputs == ("p",)


def test_union_and_float_inputs_take_their_members():
    nodes = {
        "l": entry("LoadImage", image="cat.png"),
        "a": entry("MaskOrImage", value=["l", 0]),
        "b": entry("MaskOrImage", value=["l", 1]),
        "n": entry("Number", value=1),
        "t": entry("Total", numbers=["n", 0]),
        "i": entry("InvertImage", image=["a", 0], strength=["n", 0]),
        "o": entry("Number", value=["t", 0]),
        "p": entry("PreviewAny", source=["i", 0]),
        "q": entry("PreviewAny", source=["b", 0]),
    }
    assert strict(nodes).problems == ()
    nodes["r"] = entry("PreviewAny", source=["o", 0])
    assert found(strict(nodes)) == [("o", "value", "return_type_mismatch")]


def test_type_variables_carry_the_type_through():
    nodes = {
        "l": entry("LoadImage", image="cat.png"),
        "if": entry("If", condition=True, when_true=["l", 0], when_false=["l", 0]),
        "if2": entry("If", condition=False, when_true=["if", 0], when_false=["l", 0]),
        "s": entry("SaveImage", images=["if2", 0]),
    }
    assert strict(nodes).problems == ()
    nodes["bad"] = entry("VAEDecode", samples=["if2", 0], vae=["l", 1])
    nodes["t"] = entry("SaveImage", images=["bad", 0])
    assert [(problem.input, problem.details["received_type"]) for problem in strict(nodes).problems] == [
        ("samples", "IMAGE"),
        ("vae", "MASK"),
    ]
    nodes = {**nodes, "if": entry("If", condition=True, when_true=["l", 0], when_false=["l", 1])}
    assert found(strict(nodes, targets=["s"])) == [("if", "when_false", "return_type_mismatch")]


def test_type_variables_take_literals_and_widen_whole_numbers():
    nodes = {
        "if": entry("If", condition=True, when_true=1, when_false=2.5),
        "t": entry("Total", numbers=["if", 0]),
        "p": entry("PreviewAny", source=["t", 0]),
    }
    assert strict(nodes).problems == ()
    nodes["n"] = entry("Number", value=["if", 0])
    nodes["q"] = entry("PreviewAny", source=["n", 0])
    assert found(strict(nodes)) == [("n", "value", "return_type_mismatch")]
    nodes["if"]["inputs"]["when_true"] = "text"
    assert ("if", "when_false", "return_type_mismatch") in found(strict(nodes))


def test_variadic_inputs():
    nodes = {"n": entry("Options"), "j": entry("Join", texts0=["n", 0], texts1="b", texts7="c"), "p": entry("PreviewAny", source=["j", 0])}
    result = strict(nodes)
    assert result.problems == () and list(result.graph.nodes["j"].inputs) == ["separator", "texts0", "texts1", "texts7"]
    assert found(strict({"j": entry("Join", texts01="b"), "p": entry("PreviewAny", source=["j", 0])})) == [
        ("j", "texts01", "unknown_input"),
        ("j", "texts", "required_input_missing"),
    ]
    nodes["j"]["inputs"]["texts1"] = 5
    assert found(strict(nodes)) == [("j", "texts1", INVALID)]
    collected = {
        "l": entry("LoadImage", image="cat.png"),
        "c": entry("Collect", values0=["l", 0], values1=["l", 1]),
        "p": entry("PreviewAny", source=["c", 0]),
    }
    assert found(strict(collected)) == [("c", "values1", "return_type_mismatch")]


def test_series_take_one_value_or_a_list():
    def numbers(value):
        result = strict({"t": entry("Total", numbers=value), "p": entry("PreviewAny", source=["t", 0])})
        return [problem.code for problem in result.problems] or result.graph.nodes["t"].inputs["numbers"]

    assert numbers(3) == [3.0] and numbers({"__value__": [1, 2.5]}) == [1.0, 2.5] and numbers({"__value__": []}) == []
    assert numbers({"__value__": [1, "x"]}) == [INVALID]


def test_values_that_python_code_may_hand_in_are_checked_too():
    for value in (float("nan"), [1, float("inf")], {"a": [float("-inf")]}, object()):
        graph = Graph({"p": Node("p", "PreviewAny", {"source": value})})
        assert [problem.code for problem in validate(graph, CATALOGUE, strict=True).problems] == [INVALID]


def test_problems_found_when_laying_flat_are_told_too():
    document = {
        "format": "easel/1",
        "nodes": {**text_to_image(), "u": entry("subgraph:nothing"), "v": entry("PreviewAny", source={"__input__": "x"})},
    }
    graph = parse_document(document).flatten(CATALOGUE)
    result = validate(graph, CATALOGUE, strict=False)
    assert found(result) == [("u", None, "unknown_subgraph"), ("v", "source", "unknown_input")]
    assert result.outputs == ("save",)
    assert validate(graph, CATALOGUE, strict=True).outputs == ()


def test_the_list_of_problems_is_bounded():
    nodes = {str(n): entry("SaveImage") for n in range(50)}
    result = lenient(nodes, limits=Limits(problems=10))
    assert len(result.problems) == 11 and result.problems[-1].code == "more_problems" and "90 more" in result.problems[-1].message
    assert len(result.failed) == 50


def chain(length) -> Graph:
    nodes = {
        "0": Node("0", "EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "c": Node("c", "LoadCheckpoint", {"checkpoint": "tiny.safetensors"}),
    }
    for n in range(1, length):
        inputs = {
            "model": Link("c", 0),
            "positive": Link("e", 0),
            "negative": Link("e", 0),
            "latent_image": Link(str(n - 1), 0),
            "seed": n,
            "steps": 20,
        }
        nodes[str(n)] = Node(str(n), "KSampler", inputs)
    nodes["e"] = Node("e", "CLIPTextEncode", {"text": "", "clip": Link("c", 1)})
    nodes["p"] = Node("p", "PreviewAny", {"source": Link(str(length - 1), 0)})
    return Graph(nodes)


def test_the_cost_grows_with_the_graph_and_no_faster():
    def seconds(graph):
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            assert validate(graph, CATALOGUE, strict=True).outputs == ("p",)
            best = min(best, time.process_time() - start)
        return best

    small, large = seconds(chain(2_000)), seconds(chain(20_000))
    assert large / small < 10 * 3  # 10 times the nodes; the rest is the memory's and a busy machine's share


def test_a_ring_of_twenty_thousand_nodes_is_answered_shortly():
    graph = chain(20_000)
    graph.nodes["1"].inputs["latent_image"] = Link("19999", 0)
    (problem,) = validate(graph, CATALOGUE, strict=True).problems
    assert problem.code == "dependency_cycle" and len(problem.message) < 500 and len(problem.details["nodes"]) == 100

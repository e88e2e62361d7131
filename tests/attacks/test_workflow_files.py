"""Workflow documents made to crash, exhaust or mislead: whatever comes in, the answer is a list of problems or a named limit."""

from __future__ import annotations

import json
import time

import networkx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InvalidWorkflow, QuotaExceeded
from engine.graph import Limits, Link, parse_document, parse_prompt, validate
from engine.graph.api_format import api_prompt
from engine.graph.strict_json import read_json
from tests.graph import sample_nodes

CATALOGUE = sample_nodes.catalogue()
LIMITS = Limits(nodes=200, depth=12, text_chars=200, problems=50)

# -- documents by chance, close enough to workflows to reach every branch

IDS = st.sampled_from(["1", "2", "3", "a", "a:b", "1:a", "", "ü", "class_type"])
CLASSES = st.sampled_from([*CATALOGUE.ids(), "subgraph:s", "subgraph:t", "subgraph:", "Nothing", ""])
NAMES = st.sampled_from(
    [*sorted({item.name for info in CATALOGUE.nodes.values() for item in info.inputs}), "ckpt_name", "texts0", "values1", "x"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["euler", "cat.png", "cat.png [output]", "tiny.safetensors", "nan", "1e999", "../x", "$T"]),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
)
LINKS = st.tuples(IDS, st.integers(0, 3)).map(list)
VALUES = st.one_of(
    LINKS, LINKS, SCALARS, ANYTHING, ANYTHING.map(lambda value: {"__value__": value}), NAMES.map(lambda name: {"__input__": name})
)
META = (
    st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["run", "mute", "bypass", "bypass", "other"]), "title": ANYTHING})
    | ANYTHING
)
ENTRIES = st.fixed_dictionaries({"class_type": CLASSES, "inputs": st.dictionaries(NAMES, VALUES, max_size=5)}, optional={"_meta": META})
NODES = st.dictionaries(IDS, ENTRIES | ENTRIES | ANYTHING, max_size=8)
SPECS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries({}, optional={"type": st.sampled_from(["IMAGE", "INT,FLOAT", "*", "", "$T"]), "default": ANYTHING}),
    max_size=3,
)
SUBGRAPHS = st.dictionaries(
    st.sampled_from(["s", "t", ""]),
    st.fixed_dictionaries(
        {
            "nodes": NODES,
            "inputs": SPECS,
            "outputs": st.dictionaries(NAMES, LINKS | NAMES.map(lambda name: {"__input__": name}), max_size=3),
        }
    ),
    max_size=3,
)
DOCUMENTS = st.one_of(
    NODES,
    st.fixed_dictionaries(
        {"format": st.just("easel/1"), "nodes": NODES, "subgraphs": SUBGRAPHS},
        optional={
            "revision": ANYTHING,
            "layout": ANYTHING,
            "requires": st.just({"nodes": {"KSampler": "0.0.1"}}) | ANYTHING,
            "x": ANYTHING,
        },
    ),
)
RUNS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@RUNS
@given(DOCUMENTS, st.none() | st.lists(IDS, max_size=3))
def test_any_document_gets_an_answer(document, targets):
    check_answer(document, targets)


@pytest.mark.slow
@settings(RUNS, max_examples=2_000)
@given(DOCUMENTS, st.none() | st.lists(IDS, max_size=3))
def test_any_of_two_thousand_documents_gets_an_answer(document, targets):
    check_answer(document, targets)


def check_answer(document, targets):
    try:
        workflow = parse_document(json.dumps(document), LIMITS)
        assert parse_document(workflow.dumps(), LIMITS).to_json() == workflow.to_json()
        graph = workflow.flatten(CATALOGUE, LIMITS)
    except (InvalidWorkflow, QuotaExceeded) as error:
        json.dumps(error.to_json())
        return
    for strict in (True, False):
        found = validate(graph, CATALOGUE, strict=strict, targets=targets, limits=LIMITS)
        json.dumps([problem.to_json() for problem in found.problems], allow_nan=False).encode()
        json.dumps(api_prompt(found.graph, CATALOGUE), allow_nan=False).encode()
        assert all(problem.message and problem.hint for problem in found.problems)
        assert not (strict and found.problems and found.outputs)
        assert set(found.failed) | set(found.outputs) or found.problems
        check_runnable(found)


def check_runnable(found):
    """What may run is complete: every link leads to an output that exists, and no ring is in it."""
    links = networkx.DiGraph()
    links.add_nodes_from(found.outputs)
    pending = list(found.outputs)
    seen = set(pending)
    while pending:
        node = found.graph.nodes[pending.pop()]
        info = CATALOGUE.nodes[node.type]
        declared = {item.name for item in info.inputs}
        for name, value in node.inputs.items():
            assert name in declared or name.rstrip("0123456789") in declared
            if isinstance(value, Link):
                assert value.slot < len(CATALOGUE.nodes[found.graph.nodes[value.node].type].outputs)
                links.add_edge(value.node, node.id)
                if value.node not in seen:
                    seen.add(value.node)
                    pending.append(value.node)
        required = {item.name for item in info.inputs if item.required and not item.variadic}
        assert required <= set(node.inputs)
    assert networkx.is_directed_acyclic_graph(links)


@RUNS
@given(st.binary(max_size=200) | st.text(max_size=200) | ANYTHING.map(json.dumps))
def test_any_bytes_get_an_answer(data):
    try:
        parse_document(data, LIMITS)
    except (InvalidWorkflow, QuotaExceeded) as error:
        assert error.message


@RUNS
@given(ANYTHING | NODES)
def test_any_prompt_gets_an_answer(value):
    try:
        validate(parse_prompt(value, LIMITS).flatten(CATALOGUE, LIMITS), CATALOGUE, strict=False, limits=LIMITS)
    except (InvalidWorkflow, QuotaExceeded) as error:
        assert error.message


# -- attacks by hand


def answer(document, seconds=10.0, limits=Limits()):
    """What the engine says; fails when it takes long."""
    started = time.process_time()
    try:
        found = validate(parse_document(document, limits).flatten(CATALOGUE, limits), CATALOGUE, strict=False, limits=limits)
        codes = {problem.code for problem in found.problems}
    except InvalidWorkflow as error:
        codes = {problem.code for problem in error.problems}
    except QuotaExceeded as error:
        codes = {error.code}
    assert time.process_time() - started < seconds
    return codes


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"1":{"class_type":"A","inputs":{"x":['])
def test_nesting_without_end(opening):
    closing = {"[": "]"}.get(opening, "")
    assert answer(opening * 1_000_000 + "1" + closing * 1_000_000) <= {"quota_exceeded", "invalid_json"}


def test_a_number_of_a_million_digits():
    assert answer('{"1": {"class_type": "Number", "inputs": {"value": ' + "1" * 1_000_000 + "}}}") == {"invalid_json"}


def test_a_key_given_twice_cannot_hide_a_node():
    assert answer('{"1": {"class_type": "PreviewAny", "inputs": {}}, "1": {"class_type": "SaveImage", "inputs": {}}}') == {"invalid_json"}


def test_fifty_thousand_unknown_classes():
    assert answer({str(n): node(f"Nothing{n}") for n in range(50_000)}, 60) == {"unknown_node", "more_problems"}


def test_one_node_with_a_hundred_thousand_inputs():
    assert answer({"1": node("PreviewAny", source=1, **{f"x{n}": ["nowhere", n] for n in range(100_000)})}, 30) == {
        "bad_linked_input",
        "more_problems",
    }


def test_a_variadic_input_with_a_hundred_thousand_sockets():
    assert (
        answer(
            {"1": node("Join", **{f"texts{n}": "a" for n in range(100_000)}, separator=""), "2": node("PreviewAny", source=["1", 0])}, 30
        )
        == set()
    )


def test_every_node_links_to_every_other():
    nodes = {str(n): node("Join", **{f"texts{m}": [str(m), 0] for m in range(300)}, separator="") for n in range(300)}
    nodes["p"] = node("PreviewAny", source=["0", 0])
    assert answer(nodes, 30) == {"dependency_cycle"}


def test_a_chain_of_fifty_thousand_in_the_wrong_order():
    nodes = {"p": node("PreviewAny", source=["49998", 0])}
    nodes.update({str(n): node("Number", value=[str(n - 1), 0], loops=1) for n in range(49_998, 0, -1)})
    nodes["0"] = node("Number", value=1, loops=1)
    assert answer(nodes, 60) == set()


def test_a_wide_subgraph_read_at_every_output():
    wide = {
        "inputs": {f"i{n}": {} for n in range(2_000)},
        "outputs": {f"o{n}": {"__input__": f"i{n}"} for n in range(2_000)},
        "nodes": {},
    }
    nodes = {"w": node("subgraph:wide", **{f"i{n}": n for n in range(2_000)})}
    nodes.update({f"p{n}": node("PreviewAny", source=["w", n]) for n in range(2_000)})
    assert answer({"format": "easel/1", "nodes": nodes, "subgraphs": {"wide": wide}}, 20) == set()


def test_a_text_of_a_hundred_megabytes():
    assert answer(b'{"a": "' + b"x" * 100_000_000 + b'"}', 5) == {"quota_exceeded"}


def test_special_names_are_only_names():
    nodes = {
        name: node("PreviewAny", source=1)
        for name in ("__proto__", "constructor", "__class__", "..", "../../etc", "<script>", "a b", "\u202e")
    }
    assert answer(nodes) == set()
    assert answer({"1": node("PreviewAny", source=1, __class__=2, __init__=3)}) == set()


def test_a_foreign_is_changed_value_is_not_believed():
    workflow = parse_document('{"1": {"class_type": "PreviewAny", "inputs": {"source": 1}, "is_changed": ["same"]}}')
    found = validate(workflow.flatten(CATALOGUE), CATALOGUE, strict=False)
    assert found.outputs == ("1",) and api_prompt(found.graph, CATALOGUE) == {"1": node("PreviewAny", source=1)}


def test_messages_stay_short():
    long = "x" * 900
    found = validate(
        parse_prompt(
            {long: node("PreviewAny", source=[long + "y", 10**50]), "2": node("K" * 900), "3": node("Number", value="9" * 9_000)}
        ).flatten(CATALOGUE),
        CATALOGUE,
        strict=False,
        targets=[long, "3"],
    )
    assert found.problems and all(len(problem.message) < 400 and len(problem.hint) < 1_000 for problem in found.problems)


def test_reading_does_not_depend_on_the_stack_that_is_left():
    def deep(levels):
        return read_json("[" * 60 + "]" * 60) if levels == 0 else deep(levels - 1)

    assert deep(800)

"""`--set`: which node and input is meant, and what the text stands for."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cli.assignments import assign
from engine.errors import InvalidWorkflow
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document


def workflow() -> Workflow:
    return parse_document(
        {
            "format": "easel/1",
            "nodes": {
                "sampler": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 8.0, "latent_image": ["latent", 0]}},
                "prompt": {"class_type": "CLIPEncode", "inputs": {"text": "a cat"}, "_meta": {"title": "What to draw"}},
                "part.one": {"class_type": "CLIPEncode", "inputs": {"text": ""}, "_meta": {"title": "Twice"}},
                "part": {"class_type": "CLIPEncode", "inputs": {"one.text": ""}, "_meta": {"title": "Twice"}},
            },
        }
    )


@pytest.mark.parametrize(
    ("text", "node", "name", "value"),
    [
        ("sampler.seed=7", "sampler", "seed", 7),
        ("sampler.cfg=4.5", "sampler", "cfg", 4.5),
        ("sampler.new=true", "sampler", "new", True),
        ('sampler.new="7"', "sampler", "new", "7"),
        ("sampler.new=plain words", "sampler", "new", "plain words"),
        ("sampler.latent_image=3", "sampler", "latent_image", 3),
        ("prompt.text=42", "prompt", "text", "42"),
        ("prompt.text=a = b", "prompt", "text", "a = b"),
        ("What to draw.text=a dog", "prompt", "text", "a dog"),
        ("part.one.text=x", "part.one", "text", "x"),
    ],
)
def test_a_value_lands_where_it_is_meant(text: str, node: str, name: str, value: Any) -> None:
    changed = workflow()
    assign(changed, [text])
    assert changed.nodes[node].inputs[name] == value
    assert type(changed.nodes[node].inputs[name]) is type(value)


def test_every_wrong_assignment_is_listed() -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        assign(workflow(), ["nobody.seed=1", "sampler.seed", "Twice.text=which", "seed=1"])
    assert [problem.code for problem in caught.value.problems] == ["unknown_node", "bad_assignment", "unknown_node", "unknown_node"]
    assert "sampler" in caught.value.problems[0].hint

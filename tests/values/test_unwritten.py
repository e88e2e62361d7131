"""The check that nodes leave their inputs alone."""

from __future__ import annotations

import asyncio

import pytest
import torch

from engine.errors import NodeFailed
from engine.graph import Graph, Link, Node, Registry, node
from engine.graph.executor import Executor
from engine.values.latent import Latent
from engine.values.unwritten import inputs_unwritten


@node("MakeLatent", category="test")
def make_latent() -> Latent:
    return Latent(torch.zeros(1, 4, 2, 2))


@node("Brighten", category="test")
def brighten(latent: Latent, in_place: bool = False) -> Latent:
    return Latent(latent.samples.add_(1) if in_place else latent.samples + 1)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_node_that_writes_to_its_input_fails(in_place):
    registry = Registry()
    registry.add(make_latent.definition)
    registry.add(brighten.definition)
    executor = Executor(registry, around=inputs_unwritten)
    nodes = {"a": Node("a", "MakeLatent", {}), "b": Node("b", "Brighten", {"latent": Link("a", 0), "in_place": in_place})}
    outcome = asyncio.run(executor.run(Graph(nodes), ["b"]))
    executor.close()
    assert outcome.state == ("failed" if in_place else "succeeded")
    if in_place:
        assert "wrote to its input latent" in outcome.error.message


@pytest.mark.parametrize("wrap", [lambda t: [t], lambda t: {"x": (t,)}, lambda t: Latent(t), lambda t: t[0]])
def test_tensors_are_found_wherever_they_lie(wrap):
    tensor = torch.zeros(2, 2)
    with pytest.raises(NodeFailed), inputs_unwritten(make_latent.definition.info, {"value": wrap(tensor)}):
        tensor.mul_(2)


def test_a_module_is_watched_with_its_weights():
    module = torch.nn.Linear(2, 2)
    with pytest.raises(NodeFailed), inputs_unwritten(make_latent.definition.info, {"model": module}), torch.no_grad():
        module.weight.add_(1)

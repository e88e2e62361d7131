"""A laboratory for runs: small graphs, what was called, what was told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.graph import Graph, Link, Node, Registry
from engine.graph.cache import Cache
from engine.graph.events import Event
from engine.graph.executor import Executor, Outcome
from nodes import control
from tests.graph import traced_nodes


def graph(**nodes: tuple[Any, ...]) -> Graph:
    """graph(a=("Number", {"value": 1}), b=("Add", {"a": "@a"})); "@a" links to the first output of a, "@a:1" to its second."""
    return Graph(
        {
            name: Node(name, kind, {key: _value(value) for key, value in (inputs or [{}])[0].items()})
            for name, (kind, *inputs) in nodes.items()
        }
    )


def _value(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("@"):
        name, _, slot = value[1:].partition(":")
        return Link(name, int(slot or 0))
    return value


class Laboratory:
    """Runs graphs on one executor. `calls` and `events` are those of the last run."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.registry.add_module(traced_nodes)
        self.registry.add_module(control)
        self.executors: list[Executor] = []
        self.events: list[Event] = []
        self.executor: Executor
        self.renew()

    def renew(self, cache: Cache | None = None, **options: Any) -> Executor:
        """A new executor, as after a restart."""
        self.executor = Executor(self.registry, cache, **options)
        self.executors.append(self.executor)
        return self.executor

    async def arun(self, graph: Graph, *targets: str, **options: Any) -> Outcome:
        traced_nodes.CALLS.clear()
        self.events = []
        options.setdefault("emit", self.events.append)
        options.setdefault("keep_values", True)
        return await asyncio.wait_for(self.executor.run(graph, targets, **options), 60)

    def run(self, graph: Graph, *targets: str, **options: Any) -> Outcome:
        return asyncio.run(self.arun(graph, *targets, **options))

    def value(self, graph: Graph, target: str) -> Any:
        """The single value at the first output of a node."""
        outcome = self.run(graph, target)
        assert outcome.state == "succeeded", outcome.error
        ((value,), *_) = outcome.values[target]
        return value

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return list(traced_nodes.CALLS)

    def called(self, kind: str) -> int:
        return sum(call[0] == kind for call in traced_nodes.CALLS)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


@pytest.fixture
def lab() -> Any:
    laboratory = Laboratory()
    yield laboratory
    for executor in laboratory.executors:
        executor.close()


def reasons(outcome: Outcome) -> dict[str, str]:
    return {name: record.reason for name, record in outcome.records.items()}

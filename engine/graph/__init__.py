"""The graph engine. This is the import surface for people who write nodes and workflows; nothing here loads torch."""

from engine.graph.annotations import Choice, Lazy, OneOf, Seed, Series, Variadic, Widget
from engine.graph.catalogue import MigrationInfo
from engine.graph.context import Context, JobInfo
from engine.graph.graph import Graph, Link, Node
from engine.graph.node import Alias, Definition, node
from engine.graph.ports import Codec, Port, port
from engine.graph.registry import Registry
from engine.graph.results import Blocked, Expand, Shown

__all__ = [
    "Alias",
    "Blocked",
    "Choice",
    "Codec",
    "Context",
    "Definition",
    "Expand",
    "Graph",
    "JobInfo",
    "Lazy",
    "Link",
    "MigrationInfo",
    "Node",
    "OneOf",
    "Port",
    "Registry",
    "Seed",
    "Series",
    "Shown",
    "Variadic",
    "Widget",
    "node",
    "port",
]

"""The graph engine. This is the import surface for people who write nodes and workflows; nothing here loads torch."""

from engine.graph.annotations import Choice, Lazy, OneOf, Seed, Series, Variadic, Widget
from engine.graph.catalogue import Catalogue, MigrationInfo
from engine.graph.context import Context, JobInfo
from engine.graph.folders import Folders
from engine.graph.graph import Graph, Link, Node
from engine.graph.limits import Limits
from engine.graph.node import Alias, Definition, node
from engine.graph.ports import Codec, Port, port
from engine.graph.registry import Registry
from engine.graph.results import Blocked, Expand, Shown
from engine.graph.validation import Validated, validate
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document, parse_prompt

__all__ = [
    "Alias",
    "Blocked",
    "Catalogue",
    "Choice",
    "Codec",
    "Context",
    "Definition",
    "Expand",
    "Folders",
    "Graph",
    "JobInfo",
    "Lazy",
    "Limits",
    "Link",
    "MigrationInfo",
    "Node",
    "OneOf",
    "Port",
    "Registry",
    "Seed",
    "Series",
    "Shown",
    "Validated",
    "Variadic",
    "Widget",
    "Workflow",
    "node",
    "parse_document",
    "parse_prompt",
    "port",
    "validate",
]

"""What newer versions of its nodes make of a saved workflow, for a person to look at before it is written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.graph.catalogue import AliasInfo, Catalogue, NodeInfo
from engine.graph.migrations import InputChange, changes
from engine.graph.workflow import Entry, Workflow


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A node that today's version reads otherwise. `subgraph`: the definition that it stands in, None for the workflow itself."""

    subgraph: str | None
    node_id: str
    class_type: str
    saved: str
    version: str
    changes: list[InputChange]


def upgrades(workflow: Workflow, catalogue: Catalogue) -> Iterator[Upgrade]:
    """The nodes whose inputs change when the workflow is laid flat, with the names that their class_type has for them."""
    versions = workflow.requires.get("nodes", {})
    graphs = [(None, workflow.nodes), *((name, definition.nodes) for name, definition in workflow.subgraphs.items())]
    for subgraph, nodes in graphs:
        for id, entry in nodes.items():
            found, saved = catalogue.find(entry.class_type), versions.get(entry.class_type)
            changed = _changes(entry, *found, saved) if found is not None and saved is not None else []
            if found is not None and changed:
                yield Upgrade(subgraph, id, entry.class_type, saved, found[0].version, changed)


def _changes(entry: Entry, info: NodeInfo, alias: AliasInfo | None, saved: str) -> list[InputChange]:
    canonical = alias.inputs if alias is not None else {}
    shown = {name: own for own, name in canonical.items()}
    found = changes({canonical.get(name, name): value for name, value in entry.inputs.items()}, info, saved)
    own = {canonical.get(name, name): name for name in entry.inputs}
    return [
        replace(change, saved=own.get(change.saved) if change.saved is not None else None, name=shown.get(change.name, change.name))
        for change in found
    ]

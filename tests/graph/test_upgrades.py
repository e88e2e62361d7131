"""What is told of nodes that a newer version reads otherwise: the same as what a run makes of them."""

from __future__ import annotations

from engine.graph.catalogue import AliasInfo, Catalogue, InputInfo, MigrationInfo, NodeInfo
from engine.graph.graph import Link
from engine.graph.migrations import migrate
from engine.graph.upgrades import upgrades
from engine.graph.workflow_reader import parse_document

BLUR = NodeInfo(
    id="Blur",
    display_name="Blur",
    category="test",
    version="3.0.0",
    inputs=tuple(InputInfo(name=name, type="*") for name in ("image", "radius", "kind", "edge")),
    aliases=(AliasInfo(id="Soft", inputs={"size": "radius"}),),
    migrations=(
        MigrationInfo(version="2.0.0", rename={"amount": "strength"}, values={"kind": {"box": "mean"}}),
        MigrationInfo(version="3.0.0", rename={"strength": "radius"}, defaults={"edge": "clip"}),
    ),
)
CATALOGUE = Catalogue(nodes={"Blur": BLUR})


def told(nodes, subgraphs=None, **versions):
    document = {"format": "easel/1", "nodes": nodes, "subgraphs": subgraphs or {}, "requires": {"nodes": versions}}
    found = upgrades(parse_document(document), CATALOGUE)
    return [
        (item.subgraph, item.node_id, item.saved, item.version, [(c.saved, c.name, c.old, c.new) for c in item.changes]) for item in found
    ]


def blur(class_type="Blur", /, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def test_each_input_that_changes_is_told_with_both_names_and_values():
    nodes = {"b": blur(image=["a", 0], amount=3, kind="box"), "a": {"class_type": "Gone", "inputs": {"kind": "box"}}}
    [one] = told(nodes, Blur="1.0.0")
    changes = [("amount", "radius", 3, 3), ("kind", "kind", "box", "mean"), (None, "edge", None, "clip")]
    assert one == (None, "b", "1.0.0", "3.0.0", changes)
    old = {"image": Link("a", 0), "amount": 3, "kind": "box"}
    assert {name: new for _, name, _, new in changes} | {"image": Link("a", 0)} == migrate(old, BLUR, "1.0.0")


def test_only_the_steps_since_the_file_was_written_count():
    nodes = {"b": blur(kind="box", strength=["a", 0])}
    assert told(nodes, Blur="2.1.0") == [
        (None, "b", "2.1.0", "3.0.0", [("strength", "radius", Link("a", 0), Link("a", 0)), (None, "edge", None, "clip")])
    ]
    for version in ("3.0.0", "4.0.0", "unreadable"):
        assert told(nodes, Blur=version) == []
    assert told(nodes) == []


def test_nodes_in_subgraphs_and_under_other_ids_are_told_with_the_names_that_they_have_there():
    inner = {"nodes": {"s": blur("Soft", amount=1, edge="wrap")}}
    assert told({"i": {"class_type": "subgraph:soften"}}, {"soften": inner}, Soft="1.0.0") == [
        ("soften", "s", "1.0.0", "3.0.0", [("amount", "size", 1, 1)])
    ]

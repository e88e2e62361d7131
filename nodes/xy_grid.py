"""What a workflow draws for several values of its inputs, on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from engine.diffusion.pixels.sheets import sheet
from engine.errors import InvalidInput
from engine.graph import Expand, Graph, Lazy, Link, Node, Series, Variadic, Widget, node
from engine.graph.expansion import Rewrite, Scope
from engine.values.image import Image

MOST_CELLS = 400

Line = Annotated[str, Widget(multiline=False)]
Lines = Annotated[str, Widget(multiline=True)]


class Sheet(NamedTuple):
    grid: Image
    images: Series[Image]


class Axis(NamedTuple):
    """An input of a node, and the values it takes one after the other."""

    node: str
    input: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> list[str]:
        return [f"{self.input} {value}" for value in self.values]


@node("LabelledSheet", category="image/batch", display_name="Labelled Sheet")
def labelled_sheet(
    images: Variadic[Image], columns: Annotated[int, Field(ge=1, le=MOST_CELLS)] = 3, column_labels: Lines = "", row_labels: Lines = ""
) -> Sheet:
    """Put pictures on one sheet, row by row.

    column_labels, row_labels: one a line.

    Returns:
        grid: the sheet.
        images: the single pictures, as a list.
    """
    pictures = [picture for batch in images for picture in batch]
    if not pictures:
        raise InvalidInput("There is no picture to put on the sheet.", hint="Connect at least one.")
    return Sheet(
        sheet(pictures, columns, column_labels.splitlines(), row_labels.splitlines()), tuple(picture[None] for picture in pictures)
    )


@node("XYGrid", category="image/batch", display_name="XY Grid", needs=lambda: ())
def xy_grid(
    image: Lazy[Image | None] = None, x_input: Line = "", x_values: Lines = "", y_input: Line = "", y_values: Lines = ""
) -> Sheet | Expand:
    """Draw a picture once for every combination of values of two inputs, and put the results on one sheet.

    Only what depends on these inputs is computed again.

    image: the picture, drawn by the nodes before it.
    x_input, y_input: an input of one of these nodes, as `node.input` with the node's id: `sampler.cfg`. y may be empty.
    x_values, y_values: the values, separated by commas, or one a line.

    Returns:
        grid: the sheet.
        images: the single pictures, as a list.
    """
    return Rewrite(partial(_grid, (x_input, x_values), (y_input, y_values)))


def _grid(x: tuple[str, str], y: tuple[str, str], scope: Scope) -> Expand:
    target = scope.node.inputs.get("image")
    if not isinstance(target, Link):
        raise InvalidInput("XY Grid has no picture to draw.", hint="Connect its input `image`.")
    upstream = _upstream(target.node, scope.nodes)
    across = _axis(*x, scope.nodes, upstream)
    down = _axis(*y, scope.nodes, upstream) if y[0].strip() else None
    rows: Sequence[Any] = down.values if down else (None,)
    if len(across.values) * len(rows) > MOST_CELLS:
        raise InvalidInput(
            f"A sheet of {len(across.values)} x {len(rows)} pictures is too large.", hint=f"At most {MOST_CELLS} fit on one."
        )
    graph, cells = Graph(), []
    for row, below in enumerate(rows):
        for column, value in enumerate(across.values):
            changes = {(across.node, across.input): value} | ({(down.node, down.input): below} if down else {})
            cells.append(_cell(graph, f"cell{row}.{column}:", changes, target, upstream, scope.nodes))
    labels = {"column_labels": "\n".join(across.labels), "row_labels": "\n".join(down.labels) if down else ""}
    inputs = {f"images{number}": link for number, link in enumerate(cells)} | {"columns": len(across.values), **labels}
    graph.nodes["sheet"] = Node("sheet", "LabelledSheet", inputs)
    return Expand(graph, (Link("sheet", 0), Link("sheet", 1)))


def _axis(name: str, values: str, nodes: Mapping[str, Node], upstream: Sequence[str]) -> Axis:
    node_id, _, key = name.strip().rpartition(".")
    if node_id not in upstream:
        known = ", ".join(sorted(upstream)[:20])
        raise InvalidInput(f"XY Grid cannot change {name!r}: no such node draws the picture.", hint=f"Write node.input; nodes are {known}.")
    current = nodes[node_id].inputs.get(key)
    if key not in nodes[node_id].inputs or isinstance(current, Link):
        own = ", ".join(other for other, value in nodes[node_id].inputs.items() if not isinstance(value, Link))
        raise InvalidInput(f"XY Grid cannot change {name!r}: {node_id} has no such value.", hint=f"Its values are {own or 'none'}.")
    texts = values.splitlines() if "\n" in values.strip() else values.split(",")
    parsed = tuple(_like(current, text.strip(), name) for text in texts if text.strip())
    if not parsed:
        raise InvalidInput(f"XY Grid has no values for {name!r}.", hint="Write them with commas between, or one a line.")
    return Axis(node_id, key, parsed)


def _like(current: Any, text: str, name: str) -> Any:
    """A text as a value of the type that stands there now."""
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(current)(text) if isinstance(current, int | float) else text
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"XY Grid cannot set {name!r} to {text!r}.", hint=f"It holds {current!r}; write values of that kind.") from error


def _upstream(target: str, nodes: Mapping[str, Node]) -> list[str]:
    """Every node that the target needs, itself included, those that are needed first."""
    order: dict[str, None] = {}
    stack = [(target, False)]
    while stack:
        name, done = stack.pop()
        if done:
            order[name] = None
        elif name not in order:
            stack.append((name, True))
            stack.extend((value.node, False) for value in nodes[name].inputs.values() if isinstance(value, Link))
    return list(order)


def _cell(
    graph: Graph, prefix: str, changes: Mapping[tuple[str, str], Any], target: Link, upstream: Sequence[str], nodes: Mapping[str, Node]
) -> Link:
    """A copy of what depends on the changed inputs, added to the graph; the link to its picture."""
    while any(prefix + name in nodes for name in upstream):
        prefix += ":"
    copied: set[str] = set()

    def moved(value: Any) -> Any:
        return Link(prefix + value.node, value.slot) if isinstance(value, Link) and value.node in copied else value

    for name in upstream:
        original = nodes[name]
        own = {key: value for (owner, key), value in changes.items() if owner == name}
        inputs = {key: moved(value) for key, value in original.inputs.items()} | own
        if own or any(isinstance(value, Link) and value.node in copied for value in original.inputs.values()):
            copied.add(name)
            graph.nodes[prefix + name] = replace(original, id=prefix + name, inputs=inputs, display=original.display_id)
    return moved(target)

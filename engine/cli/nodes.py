"""`easel nodes [ID]`: what nodes there are, or all about one."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import WHERE_TO_FIND, with_settings
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.graph.catalogue import AliasInfo, Catalogue, InputInfo, NodeInfo

MOST_CHOICES = 12


@with_settings(*WHERE_TO_FIND)
def nodes(
    settings: Settings,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A node's id, or the id that ComfyUI uses for it.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the catalogue entries as JSON.")] = False,
) -> None:
    """List the nodes, or print everything about one."""
    from engine.cli.catalogue import load_catalogue

    catalogue = load_catalogue(settings)
    if id is None:
        if as_json:
            typer.echo(json.dumps({name: node.model_dump(mode="json") for name, node in catalogue.nodes.items()}, indent=1))
        else:
            _print_list(catalogue)
        return
    node, _ = _find(catalogue, id)
    typer.echo(json.dumps(node.model_dump(mode="json"), indent=1) if as_json else "\n".join(_describe(node, catalogue)))


def _find(catalogue: Catalogue, id: str) -> tuple[NodeInfo, AliasInfo | None]:
    from engine.errors import MissingNode
    from engine.graph.literals import nearest

    found = catalogue.find(id)
    if found is None:
        raise MissingNode(
            f"No installed module declares the node {id!r}.", hint=nearest(id, list(catalogue.ids())) or "`easel nodes` lists them."
        )
    return found


def _print_list(catalogue: Catalogue) -> None:
    width = max((len(name) for name in catalogue.nodes), default=0)
    categories = sorted({node.category for node in catalogue.nodes.values()})
    for category in categories:
        typer.echo(category)
        for name, node in sorted(catalogue.nodes.items()):
            if node.category == category:
                summary = node.help.split("\n", 1)[0]
                typer.echo(f"  {name:<{width}}  {textwrap.shorten(summary, 100, placeholder=' ...')}".rstrip())
    for module, reason in catalogue.failures.items():
        typer.echo(f"not loaded: {module}: {reason}", err=True)


def _describe(node: NodeInfo, catalogue: Catalogue) -> Iterator[str]:
    yield f"{node.id}  ({node.category}, version {node.version})"
    if node.aliases:
        yield "also: " + ", ".join(alias.id for alias in node.aliases)
    yield ""
    yield from node.help.splitlines()
    yield ""
    yield "inputs:" if node.inputs else "no inputs"
    for item in node.inputs:
        yield f"  {item.name}: {_type_of(item)}{_default(item)}"
        yield from textwrap.wrap(item.help, 110, initial_indent="      ", subsequent_indent="      ")
        choices = catalogue.files.get(item.folder, ()) if item.folder else item.choices or ()
        if choices:
            shown = ", ".join(map(str, choices[:MOST_CHOICES])) + (f", ... ({len(choices)})" if len(choices) > MOST_CHOICES else "")
            yield from textwrap.wrap(shown, 110, initial_indent="      one of: ", subsequent_indent="        ")
    yield "outputs:" if node.outputs else "no outputs"
    for output in node.outputs:
        yield f"  {output.name}: {output.type}{' (series)' if output.series else ''}{'  ' + output.help if output.help else ''}"


def _type_of(item: InputInfo) -> str:
    low, high = ("" if bound is None else str(bound) for bound in (item.minimum, item.maximum))
    span = f" {low}..{high}" if low or high else ""
    marks = [mark for mark in ("lazy", "series", "variadic", "seed") if getattr(item, mark)] + ([] if item.required else ["optional"])
    return item.type + span + (f" ({', '.join(marks)})" if marks else "")


def _default(item: InputInfo) -> str:
    return f" = {json.dumps(item.default, ensure_ascii=False)}" if item.has_default else ""

"""`/object_info`: the catalogue in the form that ComfyUI's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.graph.catalogue import AliasInfo, Catalogue, InputInfo, NodeInfo

SHOWN_SOCKETS = 10
"""How many sockets of a variadic input are listed; a graph may use more."""

WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
SEED_NAMES = frozenset({"seed", "noise_seed"})


def object_info(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Every class by ComfyUI's id where it has one, else by Easel's."""
    listed = {}
    for info in catalogue.nodes.values():
        for alias in info.aliases or (None,):
            listed[alias.id if alias is not None else info.id] = class_info(info, alias, catalogue)
    return listed


def one_object_info(catalogue: Catalogue, class_type: str) -> dict[str, dict[str, Any]]:
    """The one class under the id that was asked for; empty when there is none."""
    found = catalogue.find(class_type)
    return {class_type: class_info(*found, catalogue)} if found is not None else {}


def class_info(info: NodeInfo, alias: AliasInfo | None, catalogue: Catalogue) -> dict[str, Any]:
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for shown, item in _inputs(info, alias):
        spec = input_spec(item, catalogue, _default(shown, item, alias))
        section = required if item.required else optional
        if not item.variadic:
            section[shown] = spec
            continue
        section[f"{shown}0"] = spec
        optional.update({f"{shown}{number}": spec for number in range(1, SHOWN_SOCKETS)})
    inputs = {name: section for name, section in (("required", required), ("optional", optional)) if section or name == "required"}
    names = alias.outputs if alias is not None and alias.outputs is not None else tuple(output.name for output in info.outputs)
    return {
        "input": inputs,
        "input_order": {name: list(section) for name, section in inputs.items()},
        "output": [_type(output.type) for output in info.outputs],
        "output_is_list": [output.series for output in info.outputs],
        "output_name": list(names),
        "output_tooltips": [output.help or None for output in info.outputs],
        "name": alias.id if alias is not None else info.id,
        "display_name": (alias.display_name if alias is not None else "") or info.display_name,
        "description": info.help,
        "python_module": alias.module if alias is not None else info.module,
        "category": (alias.category if alias is not None else "") or info.category,
        "output_node": info.output_node,
        "deprecated": info.deprecated,
        "experimental": info.experimental,
        "api_node": False,
    }


def input_config(class_type: str, shown: str, catalogue: Catalogue) -> list[Any] | None:
    """The `[type, options]` of one input, as errors about it repeat it."""
    found = catalogue.find(class_type)
    if found is None:
        return None
    for name, item in _inputs(*found):
        if name == shown or (item.variadic and shown.startswith(name) and shown[len(name) :].isdecimal()):
            return input_spec(item, catalogue, _default(name, item, found[1]))
    return None


def input_spec(item: InputInfo, catalogue: Catalogue, default: Any) -> list[Any]:
    options: dict[str, Any] = dict(item.widget)
    if item.series and isinstance(default, list | tuple) and len(default) == 1:
        default = default[0]  # ComfyUI declares what a widget holds, one value
    if default is not None:
        options["default"] = default
    for name, value in (("min", item.minimum), ("max", item.maximum), ("step", item.step)):
        if value is not None:
            options[name] = value
    if item.multiline:
        options["multiline"] = True
    if item.lazy:
        options["lazy"] = True
    if item.seed:
        options["control_after_generate"] = True
    if item.socket_only and _type(item.type) in WIDGET_TYPES:
        options["forceInput"] = True
    if item.help:
        options["tooltip"] = item.help
    return [choices_of(item, catalogue) if "COMBO" in item.type.split(",") else _type(item.type), options]


def companions_of(name: str, kind: Any, options: Mapping[str, Any]) -> int:
    """How many values of its own a widget's companions have in ComfyUI's files, after the widget's: what becomes of a seed after a run."""
    controlled = bool(options.get("control_after_generate"))
    return 2 * controlled if isinstance(kind, list) else int(kind == "INT" and (controlled or name in SEED_NAMES))


def choices_of(item: InputInfo, catalogue: Catalogue) -> list[Any]:
    files = catalogue.files.get(item.folder, ()) if item.folder is not None else ()
    return [*(item.choices or ()), *files]


def _inputs(info: NodeInfo, alias: AliasInfo | None) -> list[tuple[str, InputInfo]]:
    """Name and declaration of every input in the order of this id; an alias that gives an order shows only what is in it."""
    names = {canonical: name for name, canonical in alias.inputs.items()} if alias is not None else {}
    inputs = {names.get(item.name, item.name): item for item in info.inputs}
    if alias is None or alias.order is None:
        return list(inputs.items())
    return [(name, inputs[name]) for name in alias.order if name in inputs]


def _default(shown: str, item: InputInfo, alias: AliasInfo | None) -> Any:
    return alias.defaults.get(shown, item.default) if alias is not None else item.default


def _type(name: str) -> str:
    return "*" if name.startswith("$") else name

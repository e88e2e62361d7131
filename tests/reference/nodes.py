"""Replay of recorded calls of pure nodes: literals and tensors in, literals and tensors out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.graph import Context, Registry
from tests.reference.comfy_values import from_value, to_value
from tests.reference.result import Result, Selection, attempt, difference, figures_of, missing

TOLERANCE = 1e-5
PIXEL = 1 / 255
"""Nodes whose recorded results come from other libraries agree to one level of 8 bits."""
OTHER_LIBRARIES = {"ImageBlur", "ImageSharpen", "ImageQuantize", "Morphology"}
DEFAULTS = {"strength": 1.0, "mask_strength": 1.0, "set_area_to_bounds": False, "start_percent": 0.0, "end_percent": 1.0}


def replay(directory: Path, selection: Selection) -> Iterable[Result]:
    """One result per record; nodes that this engine lacks are missing."""
    path = directory / "nodes.json"
    if not path.exists() or selection.kind is not None or selection.sampler is not None:
        return
    tensors = figures_of(directory / "nodes.safetensors")
    registry = Registry()
    registry.load_package("nodes")
    catalogue = registry.catalogue()
    for record in json.loads(path.read_text()):
        name = f"{record['node']} {record.get('case', '')}".strip()
        found = catalogue.find(record["node"])
        if found is None:
            yield missing("nodes", name, "no such node")
            continue
        info, alias = found
        ports = {declared.name: declared.type for declared in info.inputs}
        renamed = alias.inputs if alias else {}
        definition = registry.definition(info.id)

        def run(record: dict[str, Any] = record, definition: Any = definition, ports: Any = ports, renamed: Any = renamed) -> Result:
            arguments = {}
            for key, value in record["inputs"].items():
                own = renamed.get(key, key)
                arguments[own] = to_value(ports.get(own, "*"), _filled(value, tensors))
            if definition.context:
                arguments[definition.context] = Context()
            with torch.no_grad():
                _, outputs = definition.unpack(definition.function(**arguments))
            return _judge(record, [from_value(output) for output in outputs], tensors)

        yield attempt("nodes", name, run)


def _filled(recorded: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(recorded, dict):
        if "tensor" in recorded:
            return tensors[recorded["tensor"]].clone()
        return {name: _filled(value, tensors) for name, value in recorded.items()}
    if isinstance(recorded, list):
        return [_filled(value, tensors) for value in recorded]
    return recorded


def _judge(record: Mapping[str, Any], got: list[Any], tensors: Mapping[str, Tensor]) -> Result:
    node = record["node"]
    name = f"{node} {record.get('case', '')}".strip()
    made: dict[str, Tensor] = {}
    try:
        error = _compare(node, got, record["outputs"], tensors, made)
    except ValueError as mismatch:
        return Result("nodes", name, "wrong", math.inf, str(mismatch), made)
    tolerance = {"Canny": 0.01}.get(node, PIXEL if node in OTHER_LIBRARIES else TOLERANCE)
    return Result("nodes", name, "ok" if error <= tolerance else "wrong", error, tensors=made)


def _compare(node: str, got: Any, wanted: Any, tensors: Mapping[str, Tensor], made: dict[str, Tensor]) -> float:
    """The largest error of all tensors in a value; ValueError where the values differ in another way."""
    if isinstance(wanted, dict) and "tensor" in wanted:
        return _compare_tensor(node, got, wanted["tensor"], tensors, made)
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            raise ValueError(f"{type(got).__name__} instead of {sorted(wanted)}")
        got = {**{name: DEFAULTS[name] for name in wanted if name in DEFAULTS}, **got}
        if set(got) != set(wanted):
            raise ValueError(f"fields {sorted(got)}, wanted {sorted(wanted)}")
        return max((_compare(node, got[name], wanted[name], tensors, made) for name in wanted), default=0.0)
    if isinstance(wanted, list):
        if not isinstance(got, list | tuple) or len(got) != len(wanted):
            raise ValueError(f"{got!r:.80} instead of {len(wanted)} values")
        return max((_compare(node, a, b, tensors, made) for a, b in zip(got, wanted, strict=True)), default=0.0)
    if isinstance(wanted, float) and isinstance(got, int | float):
        return abs(got - wanted) / max(abs(wanted), 1.0)
    if got != wanted:
        raise ValueError(f"{got!r:.80}, wanted {wanted!r:.80}")
    return 0.0


def _compare_tensor(node: str, got: Any, key: str, tensors: Mapping[str, Tensor], made: dict[str, Tensor]) -> float:
    wanted = tensors[key]
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        raise ValueError(f"{key}: {tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__}, wanted {tuple(wanted.shape)}")
    if "/out." in key:
        made[key] = got
    if node == "Canny":
        return (got != wanted).double().mean().item()
    return difference(got, wanted, absolute=node in OTHER_LIBRARIES)

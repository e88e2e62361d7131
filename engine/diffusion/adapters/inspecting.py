"""What is in a LoRA: for people, as lines and as a table of its blocks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from torch import Tensor

from engine.diffusion.adapters.blocks import block_of
from engine.diffusion.adapters.changes import OF_WEIGHTS, change_of
from engine.diffusion.adapters.low_rank import alpha_of, is_low_rank, matrices, product_norm, rank_of
from engine.diffusion.adapters.reading import Modules, family_of, modules_of
from engine.diffusion.families.adapters import Adapters, UnetNames
from engine.values.lora import Lora

SAID = {
    "title": "modelspec.title",
    "author": "modelspec.author",
    "trigger": "modelspec.trigger_phrase",
    "training comment": "ss_training_comment",
    "base model": "ss_sd_model_name",
    "base version": "ss_base_model_version",
    "pictures": "ss_num_train_images",
    "steps": "ss_steps",
    "resolution": "ss_resolution",
    "learning rate": "ss_learning_rate",
    "optimizer": "ss_optimizer",
}
MOST_TEXT = 300
MOST_TAGS = 10
KINDS = (
    ("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr"), ("lokr_w1_a", "LoKr"), ("glora_a1", "GLoRA"), ("oft_blocks", "OFT"),
    ("factors", "(IA)^3"), ("diff", "full difference"), ("up", "LoRA"), ("bias", "bias"),
)  # fmt: skip


class Row(NamedTuple):
    """A block: its network and name, number of modules, their ranks, and the norm of their change (None where it depends on the model)."""

    network: str
    block: str
    modules: int
    ranks: tuple[int, ...]
    norm: float | None


def essentials(lora: Lora) -> list[str]:
    """A few lines that tell what it is; reads hardly more than names and shapes. Raises ModelFormatError for what is no adapter."""
    adapters = family_of(lora)
    parts, unknown = modules_of(lora, adapters)
    return [f"LoRA for {adapters.title}", *_contents(parts, unknown), *_said(lora.metadata)]


def blocks(lora: Lora) -> list[Row]:
    """The blocks of every network in order, with norms; reads everything."""
    adapters = family_of(lora)
    rows = []
    for part, modules in modules_of(lora, adapters)[0].items():
        groups: dict[str, list[str]] = {}
        for path in modules:
            groups.setdefault(_block(adapters, part, path), []).append(path)
        for block, paths in sorted(groups.items(), key=lambda item: _order(item[0])):
            own = [modules[path] for path in paths]
            ranks = tuple(sorted({rank_of(tensors) for tensors in own if is_low_rank(tensors)}))
            norms = [_norm(modules[path], path) for path in paths]
            known = [norm for norm in norms if norm is not None]
            rows.append(Row(part, block, len(own), ranks, sqrt(sum(norm**2 for norm in known)) if len(known) == len(norms) else None))
    return rows


def table(rows: Sequence[Row]) -> list[str]:
    """The blocks as lines of text."""
    lines = [f"{'network':<16} {'block':<24} {'modules':>7} {'ranks':>12} {'norm':>10}"]
    for row in rows:
        ranks = ", ".join(map(str, row.ranks)) or "-"
        lines.append(f"{row.network:<16} {row.block:<24} {row.modules:>7} {ranks:>12} {'-' if row.norm is None else f'{row.norm:.4g}':>10}")
    return lines


def _contents(parts: Mapping[str, Modules], unknown: Sequence[str]) -> Iterator[str]:
    for part, modules in parts.items():
        kinds = Counter(_kind(tensors) for tensors in modules.values())
        low_rank = [tensors for tensors in modules.values() if is_low_rank(tensors)]
        ranks = _counted(rank_of(tensors) for tensors in low_rank)
        alphas = _counted(alpha_of(tensors) for tensors in low_rank)
        shown = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
        yield f"{part}: {len(modules)} modules: {shown}" + (f"; rank {ranks}; alpha {alphas}" if low_rank else "")
    if unknown:
        yield f"of no module: {len(unknown)} tensors such as {unknown[0][:100]}"


def _kind(tensors: Mapping[str, Tensor]) -> str:
    kind = next((name for role, name in KINDS if role in tensors), "nothing")
    return f"{kind} with magnitude (DoRA)" if "dora_scale" in tensors else kind


def _counted(numbers: Iterator[float]) -> str:
    counts = Counter(numbers).most_common(5)
    return ", ".join(f"{number:g}" if len(counts) == 1 else f"{number:g} ({count})" for number, count in counts)


def _said(metadata: Mapping[str, str]) -> Iterator[str]:
    for name, key in SAID.items():
        if text := metadata.get(key):
            yield f"{name}: {_line(text)}"
    if tags := _tags(metadata.get("ss_tag_frequency", "")):
        yield f"tags: {', '.join(tags)}"


def _line(text: str) -> str:
    line = " ".join(text[: 2 * MOST_TEXT].split())
    return line if len(line) <= MOST_TEXT else line[:MOST_TEXT] + "..."


def _tags(text: str) -> list[str]:
    """The most frequent words of a training's captions."""
    counts = Counter[str]()
    try:
        folders = json.loads(text or "{}")
        for tags in folders.values():
            counts.update({_line(tag): int(count) for tag, count in tags.items()})
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return []
    return [tag for tag, _ in counts.most_common(MOST_TAGS)]


def _block(adapters: Adapters, part: str, path: str) -> str:
    names = adapters.parts[part].names(None)
    if isinstance(names, UnetNames):
        return block_of(path, names.renaming)
    pieces = path.split(".")
    number = next((place for place, piece in enumerate(pieces) if piece.isdecimal()), len(pieces) - 1)
    return ".".join(pieces[: number + 1])


def _order(block: str) -> tuple[int, str, int]:
    """IN before MID before OUT, and numbers by size."""
    head = block.rstrip("0123456789")
    return ("BASE", "IN", "MID", "OUT").index(head) if head in ("BASE", "IN", "MID", "OUT") else 9, head, int(block[len(head) :] or 0)


def _norm(tensors: Mapping[str, Tensor], path: str) -> float | None:
    """The norm of what a module's weight is changed by; None where that depends on the weight."""
    if any(role in tensors for role in OF_WEIGHTS):
        return None
    if is_low_rank(tensors):
        return product_norm(*matrices(tensors))
    if tensors.keys() <= {"bias"}:
        return float(tensors["bias"].float().norm())
    return float(change_of(tensors, path)[0].norm())

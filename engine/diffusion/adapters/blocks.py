"""Weights of single blocks of a LoRA, in the order that users of "LoRA block weight" know."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.diffusion.families.renaming import Renaming
from engine.errors import InvalidInput

FULL = ("BASE", *(f"IN{k:02}" for k in range(12)), "MID", *(f"OUT{k:02}" for k in range(12)))
"""Every block of a U-Net of SD1's depth, and first what is in none (the text encoder in other tools; here the rest of the network)."""
WITH_ATTENTION = ("BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{k:02}" for k in range(3, 12)))
SDXL_WITH_ATTENTION = ("BASE", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{k:02}" for k in range(6)))
LISTS = {len(names): names for names in (FULL, WITH_ATTENTION, SDXL_WITH_ATTENTION)}


@dataclass(frozen=True)
class BlockWeights:
    """factors: block name -> factor, for those that are not 1. renaming: of the network, to the names that count its blocks."""

    factors: tuple[tuple[str, float], ...]
    renaming: Renaming = field(compare=False)

    def of(self, path: str) -> float:
        """The factor of a module."""
        return self.factor(block_of(path, self.renaming))

    def factor(self, block: str) -> float:
        return dict(self.factors).get(block, 1.0)


def block_of(path: str, renaming: Renaming) -> str:
    """IN00..IN11, MID or OUT00..OUT11 of a module of a U-Net; BASE for one outside the blocks."""
    stored = renaming.to_stored(path) or ""
    if stored.startswith("middle_block."):
        return "MID"
    found = re.match(r"(input|output)_blocks\.(\d+)\.", stored)
    return f"{'IN' if found[1] == 'input' else 'OUT'}{int(found[2]):02}" if found else "BASE"


def parse_blocks(text: str, renaming: Renaming) -> BlockWeights:
    """Weights as a list of numbers with commas (26, 17 for SD1.5, or 12 for SDXL, BASE first), or as `IN04=0.5, MID=0`.

    Raises InvalidInput for anything else.
    """
    items = [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]
    named = [item.partition("=") for item in items]
    if items and all(equals for _, equals, _ in named):
        names, numbers = [name.strip().upper() for name, _, _ in named], [value for _, _, value in named]
    else:
        if len(items) not in LISTS:
            counts = ", ".join(map(str, sorted(LISTS)))
            raise InvalidInput(f"There are {len(items)} block weights, and lists have {counts}.", hint="Or name blocks: IN04=0.5, MID=0")
        names, numbers = list(LISTS[len(items)]), items
    if unknown := [name for name in names if name not in FULL]:
        raise InvalidInput(f"There is no block {unknown[0][:20]!r}.", hint=f"Blocks are {', '.join(FULL)}.")
    try:
        factors = [float(number) for number in numbers]
    except ValueError as error:
        raise InvalidInput(f"A block weight is no number: {error}.", hint="Write numbers like 0.5.") from error
    if bad := [factor for factor in factors if not abs(factor) <= 100]:
        raise InvalidInput(f"A block weight is {bad[0]}.", hint="Use -100 to 100.")
    return BlockWeights(tuple((name, factor) for name, factor in zip(names, factors, strict=True) if factor != 1.0), renaming)

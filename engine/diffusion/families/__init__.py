"""The families of models that Easel knows. A new one is a module of this package and a name in KINDS."""

from __future__ import annotations

from collections.abc import Iterable

from engine.diffusion.families.adapters import Adapters
from engine.diffusion.families.family import Family, Kind
from engine.diffusion.families.flux import FLUX
from engine.diffusion.families.sd3 import SD3
from engine.diffusion.families.sd15 import SD15
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.families.unet_layout import Shapes

KINDS: dict[str, Kind] = {kind.name: kind for kind in (SD15, SDXL, SD3, FLUX)}
"""Also those whose checkpoints cannot be opened yet."""
FAMILIES: dict[str, Family] = {name: kind for name, kind in KINDS.items() if isinstance(kind, Family)}
ADAPTERS: dict[str, Adapters] = {name: kind.adapters for name, kind in KINDS.items()}


def detect(shapes: Shapes) -> Family | None:
    """The family of a file with these tensor names and shapes, None if it is of no known one."""
    return next((family for family in FAMILIES.values() if family.matches(shapes)), None)


def titles() -> Iterable[str]:
    return [family.title for family in FAMILIES.values()]

"""The families of models that Easel knows. A new one is a module of this package and a line in FAMILIES."""

from __future__ import annotations

from collections.abc import Iterable

from engine.diffusion.families.adapters import Adapters
from engine.diffusion.families.family import Family
from engine.diffusion.families.flux import FLUX_ADAPTERS
from engine.diffusion.families.sd3 import SD3_ADAPTERS
from engine.diffusion.families.sd15 import SD15
from engine.diffusion.families.sdxl import SDXL_ADAPTERS
from engine.diffusion.families.unet_layout import Shapes

FAMILIES: dict[str, Family] = {family.name: family for family in (SD15,)}
ADAPTERS: dict[str, Adapters] = {adapters.family: adapters for adapters in (SD15.adapters, SDXL_ADAPTERS, SD3_ADAPTERS, FLUX_ADAPTERS)}
"""The adapters of families, also of those whose checkpoints cannot be opened yet."""


def detect(shapes: Shapes) -> Family | None:
    """The family of a file with these tensor names and shapes, None if it is of no known one."""
    return next((family for family in FAMILIES.values() if family.matches(shapes)), None)


def titles() -> Iterable[str]:
    return [family.title for family in FAMILIES.values()]

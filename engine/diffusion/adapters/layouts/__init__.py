"""The layouts in which adapter files are written: kohya's, diffusers' and peft's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from torch import Tensor

from engine.diffusion.adapters.layouts import diffusers, kohya, peft
from engine.diffusion.adapters.reading import Modules
from engine.diffusion.families.adapters import Adapters

LayoutName = Literal["kohya", "diffusers", "peft"]


class Written(NamedTuple):
    """tensors: by the names of the layout. metadata: texts that the layout's own reader needs."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


_WRITERS: dict[str, Callable[[Mapping[str, Modules], Adapters], tuple[dict[str, Tensor], dict[str, str]]]] = {
    "kohya": lambda parts, adapters: (kohya.write(parts, adapters), {}),
    "diffusers": diffusers.write,
    "peft": peft.write,
}


def write(layout: LayoutName, parts: Mapping[str, Modules], adapters: Adapters) -> Written:
    """Name the tensors of networks' modules as a layout does. Raises InvalidInput for an adapter that it cannot hold."""
    return Written(*_WRITERS[layout](parts, adapters))

"""Networks compiled by torch.compile, once for each shape of their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOST_SHAPES = 256
"""So many shapes may be compiled in one process before torch gives up and computes uncompiled."""


class Compiled:
    """A network and its compiled form; both compute on the same weights, also after patches changed them.

    backend: a name that torch.compile knows.
    """

    def __init__(self, module: nn.Module, backend: str) -> None:
        from torch._dynamo import config  # imported here since it takes seconds

        config.recompile_limit = max(config.recompile_limit, MOST_SHAPES)
        config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, MOST_SHAPES)
        self._module, self._backend = module, backend
        self._compiled = torch.compile(module, backend=backend, dynamic=False)
        self._shapes: set[tuple] = set()

    def __call__(self, notice: Callable[[str], None], x: Tensor, timestep: Tensor, **inputs: Any) -> tuple[Tensor, ...]:
        """As the network itself. notice(text) is told before a shape is compiled, which takes minutes for a large network.

        While hooks are on the network it is computed uncompiled, since a compiled network does not see hooks that come and go.
        """
        if has_hooks(self._module):
            return self._module(x, timestep, **inputs)
        shape = (x.shape, x.dtype, *(value.shape for value in inputs.values() if isinstance(value, Tensor)))
        if shape not in self._shapes:
            sizes = " x ".join(str(extent) for extent in x.shape)
            notice(f"Compiling the network with {self._backend} for a latent batch of {sizes}; this is done once per shape.")
        found = self._compiled(x, timestep, **inputs)
        self._shapes.add(shape)
        return found


def has_hooks(module: nn.Module) -> bool:
    return any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())

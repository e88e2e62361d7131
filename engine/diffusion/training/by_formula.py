"""Adapters that are trained by the very formula that reads their files (adapters/formulas.py): rotations, factors, whole differences.

OFT turns blocks of a weight's rows, (IA)^3 multiplies rows or columns, a difference is added. Each weight becomes what the formula
makes of the frozen one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from engine.diffusion.adapters.formulas import merged
from engine.errors import InvalidInput
from engine.values.training import Adapter

FACTORS_OF_ROWS = ("to_k", "to_v", "k_proj", "v_proj", "add_k_proj", "add_v_proj")
FACTORS_OF_COLUMNS = ("net.2", "fc2")
"""Ends of the modules that (IA)^3 scales: keys and values after them, the second matrix of feed-forward layers before it."""
PLACE = "parametrizations"


class Changed(nn.Module):
    """A parametrization: a weight as an adapter changes it. trained, constant: the adapter's tensors by role (adapters/names.py)."""

    def __init__(self, trained: Mapping[str, Tensor], constant: Mapping[str, Tensor]) -> None:
        super().__init__()
        for role, tensor in trained.items():
            self.register_parameter(role, nn.Parameter(tensor))
        self.constant = dict(constant)

    def forward(self, weight: Tensor) -> Tensor:
        """float32, whatever the network computes in."""
        with torch.autocast(weight.device.type, enabled=False):
            return merged(weight.float(), {**dict(self.named_parameters()), **self.constant}, 1.0)


def is_scaled(path: str) -> bool:
    """Whether (IA)^3 scales this module."""
    return path.endswith((*FACTORS_OF_ROWS, *FACTORS_OF_COLUMNS))


def put_on(network: nn.Module, adapter: Adapter, ranks: Mapping[str, int]) -> None:
    """Make every weight of these modules a changed one; at first the change is none. ranks: by module path.

    Raises InvalidInput for blocks that no weight can be cut into.
    """
    for path, rank in ranks.items():
        layer = network.get_submodule(path)
        constant = constants_of(adapter, path)
        for name, trained in _beginnings(layer, adapter, path, rank):
            register_parametrization(layer, name, Changed(trained, constant), unsafe=True)  # unsafe: it may be of another dtype


def put_on_norms(network: nn.Module, paths: Iterable[str]) -> None:
    """Make weights and biases of norms changed ones, each with a difference added."""
    for path in paths:
        layer = network.get_submodule(path)
        for name in [name for name, _ in layer.named_parameters(recurse=False)]:
            own = layer.get_parameter(name)
            zeros = torch.zeros(own.shape, device=own.device, dtype=torch.float32)
            register_parametrization(layer, name, Changed({"diff": zeros}, {}), unsafe=True)


def constants_of(adapter: Adapter, path: str) -> dict[str, Tensor]:
    """What belongs to a module besides what is trained, by role."""
    if adapter.kind == "oft":
        return {"alpha": torch.tensor(adapter.constraint)}
    if adapter.kind == "ia3":
        return {"on_input": torch.tensor(int(path.endswith(FACTORS_OF_COLUMNS)))}
    return {}


def _beginnings(layer: Any, adapter: Adapter, path: str, rank: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The layer's parameters that are changed, and what changes them."""
    weight: Tensor = layer.weight
    zeros = partial(torch.zeros, device=weight.device, dtype=torch.float32)
    if adapter.kind == "oft":
        size = block_size(len(weight), rank, path)
        yield "weight", {"oft_blocks": zeros(len(weight) // size, size, size)}
    elif adapter.kind == "ia3":
        columns = path.endswith(FACTORS_OF_COLUMNS)
        yield "weight", {"factors": zeros(weight.shape[1 if columns else 0])}
    else:
        yield "weight", {"diff": zeros(weight.shape)}
        if layer.bias is not None:
            yield "bias", {"diff": zeros(layer.bias.shape)}


def block_size(rows: int, most: int, path: str) -> int:
    """The largest number of rows, up to `most`, into which a weight's rows can be cut evenly."""
    size = next(size for size in range(min(most, rows), 0, -1) if rows % size == 0)
    if size == 1:
        raise InvalidInput(f"The {rows} rows of {path} cannot be cut into blocks of 2 to {most}.", hint="Raise the rank, or leave it out.")
    return size

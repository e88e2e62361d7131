"""LoRAs with random matrices for networks of tests, and what they change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.diffusion.adapters.reading import Modules
from engine.diffusion.adapters.targets import Network, targets


def modules(network: Network, *, mixed: bool, convolutions: bool = True, seed: int = 1) -> Modules:
    """Two matrices for every module that a LoCon changes. mixed: other ranks and alphas from one module to the next."""
    generator = torch.Generator().manual_seed(seed)
    found: Modules = {}
    for number, target in enumerate(targets(network, convolutions=convolutions)):
        shape = network.shapes[f"{target.path}.weight"]
        rank, alpha = (1 + number % 3, 0.5 + number % 4) if mixed else (2, 1.0)
        down = torch.randn(rank, *shape[1:], generator=generator)
        up = torch.randn(shape[0], rank, *[1] * (len(shape) - 2), generator=generator)
        found[target.path.removeprefix("text_model.")] = {"up": up, "down": down, "alpha": torch.tensor(alpha)}
    return found


def delta(tensors: dict[str, Tensor]) -> Tensor:
    """up @ down * alpha / rank, flattened to a matrix, in float64."""
    down = tensors["down"].double().flatten(1)
    return tensors["up"].double().flatten(1) @ down * (tensors["alpha"].item() / len(down))


def peft_deltas(module: nn.Module) -> dict[str, Tensor]:
    """What peft's layers in a module change, by path, flattened to matrices."""
    found = {}
    for path, layer in module.named_modules():
        if hasattr(layer, "get_delta_weight") and getattr(layer, "lora_A", None):
            [name] = layer.lora_A.keys()
            found[path.removeprefix("text_model.")] = layer.get_delta_weight(name).detach().double().flatten(1)
    return found


def worst_error(wanted: Modules, got: dict[str, Tensor]) -> float:
    """The largest relative error of a module's change; both must have the same modules."""
    assert got.keys() == wanted.keys()
    return max(float((got[path] - delta(tensors)).norm() / delta(tensors).norm()) for path, tensors in wanted.items())

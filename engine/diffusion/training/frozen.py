"""A frozen network whose weights are kept in a smaller format than they are used in, or in main memory.

Each use of a weight brings it to the device, casts it, and drops it again. Autograd would keep what was brought until the backward pass,
so the layers have a backward pass of their own, which brings it once more: kept is the weight as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from engine.diffusion.families import FAMILIES
from engine.diffusion.patched import patched_tensors
from engine.errors import InvalidInput
from engine.values.model import Model

FP8 = torch.float8_e4m3fn
"""One sign, four bits of exponent, three of mantissa (Micikevicius et al. 2022): a relative error of up to 1/16 above 2^-6."""
LARGEST = torch.finfo(FP8).max


def frozen_network(model: Model, dtype: torch.dtype, device: torch.device, *, fp8: bool = False, swap: float = 0.0) -> nn.Module:
    """The diffusion network of a model with its patches, read from its files tensor by tensor, in dtype on the device.

    fp8: the weights of matrices and convolutions in its blocks are in float8. swap: this share of them, the first, is in main memory.
    Raises InvalidInput for a number that float8 does not have, and for a device that has no float8.
    """
    if fp8 and device.type == "mps":
        raise InvalidInput("fp8_base: this device has no float8.", hint="Switch fp8_base off, or train on a CUDA device or a CPU.")
    weights = model.weights
    module = FAMILIES[weights.family].parts[weights.part].empty(weights.arguments)
    sizes = {f"{path}.weight": layer.weight.numel() for path, layer in _layers(module)}
    swapped = _first(sizes, swap)
    state = {}
    for name, value in patched_tensors(weights, model.patches):
        kept = _float8(name, value) if fp8 and name in sizes else value.to(dtype)
        state[name] = kept if name in swapped else kept.to(device)
    module.load_state_dict(state, assign=True)
    bring_for_use(module)
    return module.requires_grad_(False)


def bring_for_use(network: nn.Module) -> None:
    """Let layers whose weights are in another format or place than the network's others compute where and in what those are."""
    usual = next(network.parameters())  # of a layer before the blocks
    for _, layer in _layers(network):
        if (layer.weight.dtype, layer.weight.device) != (usual.dtype, usual.device):
            layer.__class__ = _Matrix if isinstance(layer, nn.Linear) else _Convolution
            layer.used_on, layer.used_as = usual.device, usual.dtype


def _layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Matrices and convolutions in blocks, by path: nearly all weights; what reads inputs, times and texts and what writes is outside."""
    for path, layer in network.named_modules():
        if "block" in path.partition(".")[0] and type(layer) in (nn.Linear, nn.Conv2d):
            yield path, layer


def _first(sizes: Mapping[str, int], share: float) -> set[str]:
    """The first of some tensors, until they are this share of all numbers. sizes: by name."""
    ends = accumulate(sizes.values())
    return {name for (name, size), end in zip(sizes.items(), ends, strict=True) if end - size < share * sum(sizes.values())}


def _float8(name: str, value: Tensor) -> Tensor:
    if not (value.abs() <= LARGEST).all():
        raise InvalidInput(f"fp8_base: {name} holds numbers above {LARGEST:g}, the largest of float8.", hint="Switch fp8_base off.")
    return value.to(FP8)


class _Stored:
    """What both kinds of layer share; each has `output` and the `gradient` of its input.

    used_on, used_as: where the weight is brought and what it is cast to, also for whoever else asks for it.
    """

    used_on: torch.device
    used_as: torch.dtype
    bias: Any
    _parameters: dict[str, Any]

    @property
    def weight(self) -> Tensor:
        return self._parameters["weight"].to(self.used_on).to(self.used_as)

    def forward(self, x: Tensor) -> Tensor:
        return _Use.apply(x, self._parameters["weight"], self.bias, self)


class _Matrix(_Stored, nn.Linear):  # type: ignore[override]
    def output(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return nn.functional.linear(x, weight, bias)

    def gradient(self, output: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        return output @ weight


class _Convolution(_Stored, nn.Conv2d):  # type: ignore[override]
    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """An ordinary one: peft makes the convolutions of an adapter by the class of the layer that it changes."""
        return nn.Conv2d(*arguments, **named)

    def output(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def gradient(self, output: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        return conv2d_input(shape, weight, output, self.stride, self.padding, self.dilation, self.groups)  # type: ignore[arg-type]


class _Use(torch.autograd.Function):
    """One use of a layer, differentiable by its input; the layer says how, from the gradient of its output and the input's shape."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stored: Tensor, bias: Tensor | None, layer: Any) -> Tensor:
        ctx.layer, ctx.shape = layer, x.shape
        ctx.save_for_backward(stored)
        return layer.output(x, stored.to(x.device).to(layer.used_as), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (stored,) = ctx.saved_tensors
        return ctx.layer.gradient(gradient, stored.to(gradient.device).to(gradient.dtype), ctx.shape), None, None, None

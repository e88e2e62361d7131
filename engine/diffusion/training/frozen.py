"""A frozen network whose weights are kept in a smaller format than they are used in.

Each use of a weight casts it and drops it again. Autograd would keep what was cast until the backward pass, so the layers have a backward
pass of their own, which casts once more: kept is the weight as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def frozen_network(model: Model, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The diffusion network of a model with its patches, read from its files tensor by tensor: in dtype, but the weights of matrices and
    convolutions in its blocks in float8.

    Raises InvalidInput for a number that float8 does not have, and for a device that has no float8.
    """
    if device.type == "mps":
        raise InvalidInput("fp8_base: this device has no float8.", hint="Switch fp8_base off, or train on a CUDA device or a CPU.")
    weights = model.weights
    module = FAMILIES[weights.family].parts[weights.part].empty(weights.arguments)
    stored = {f"{path}.weight" for path, _ in _layers(module)}
    state = {}
    for name, value in patched_tensors(weights, model.patches):
        state[name] = (_float8(name, value) if name in stored else value.to(dtype)).to(device)
    module.load_state_dict(state, assign=True)
    cast_for_use(module)
    return module.requires_grad_(False)


def cast_for_use(network: nn.Module) -> None:
    """Let the layers of a network whose weights are in float8 compute in the format of its other weights."""
    dtype = next(network.parameters()).dtype  # of a layer before the blocks
    for _, layer in _layers(network):
        if layer.weight.dtype == FP8:
            layer.__class__ = _Matrix if isinstance(layer, nn.Linear) else _Convolution
            layer.used_as = dtype


def _layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Matrices and convolutions in blocks, by path: nearly all weights; what reads inputs, times and texts and what writes is outside."""
    for path, layer in network.named_modules():
        if "block" in path.partition(".")[0] and type(layer) in (nn.Linear, nn.Conv2d):
            yield path, layer


def _float8(name: str, value: Tensor) -> Tensor:
    if not (value.abs() <= LARGEST).all():
        raise InvalidInput(f"fp8_base: {name} holds numbers above {LARGEST:g}, the largest of float8.", hint="Switch fp8_base off.")
    return value.to(FP8)


class _Stored:
    """What both kinds of layer share; each has `output` and the `gradient` of its input.

    used_as: what the weight is cast to, also for whoever else asks for it.
    """

    used_as: torch.dtype
    bias: Any
    _parameters: dict[str, Any]

    @property
    def weight(self) -> Tensor:
        return self._parameters["weight"].to(self.used_as)

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
        return layer.output(x, stored.to(layer.used_as), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (stored,) = ctx.saved_tensors
        return ctx.layer.gradient(gradient, stored.to(gradient.dtype), ctx.shape), None, None, None

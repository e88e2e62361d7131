"""Skip-layer guidance: away from what a transformer gives without some of its layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from engine.diffusion.families import FAMILIES
from engine.diffusion.inside.unet_blocks import Module
from engine.diffusion.sampling.guidance import Step
from engine.diffusion.sampling.inside import Evaluation, between
from engine.values.model import Model


def has_layers(model: Model) -> bool:
    """Whether the model's network is a transformer with layers that can be skipped (SD3, Flux), not a U-Net."""
    part = FAMILIES[model.weights.family].parts[model.weights.part]
    return any(name.startswith("transformer_blocks.") for name in part.tensor_shapes(model.weights.arguments))


def numbers(text: str) -> tuple[int, ...]:
    """Every whole number in a text such as "7, 8, 9"."""
    return tuple(int(found) for found in re.findall(r"\d+", text))


@dataclass(frozen=True)
class SkippedLayers:
    """`inside`: these layers of a diffusion transformer of diffusers pass on what they get; numbers without a layer do nothing.

    double: layers that keep text and picture apart (`transformer_blocks`), single: those that join them. start_percent, end_percent:
    the part of the schedule. sides: of the rows for these sides only; None: of all rows. The layers are computed all the same.
    """

    double: tuple[int, ...] = ()
    single: tuple[int, ...] = ()
    start_percent: float = 0.0
    end_percent: float = 1.0
    sides: tuple[int, ...] | None = None

    def __call__(self, network: Module, evaluation: Evaluation) -> Iterator[RemovableHandle]:
        if not evaluation.between(self.start_percent, self.end_percent):
            return
        rows = torch.tensor([self.sides is None or row.side in self.sides for row in evaluation.rows]).view(-1, 1, 1)

        def passed(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: tuple[Any, Tensor]) -> tuple[Any, Tensor]:
            chosen = rows.to(output[1].device)
            text = None if output[0] is None else torch.where(chosen, kwargs["encoder_hidden_states"], output[0])
            return text, torch.where(chosen, kwargs["hidden_states"], output[1])

        for name, skipped in (("transformer_blocks", self.double), ("single_transformer_blocks", self.single)):
            for number, layer in enumerate(getattr(network, name, ())):
                if number in skipped:
                    yield layer.register_forward_hook(passed, with_kwargs=True)


@dataclass(frozen=True)
class SkipLayerGuidance:
    """`after`: away from what the positive prompt gives without some layers.

    Stability AI 2024, as published with Stable Diffusion 3.5 Medium; the idea is that of Hyung et al. 2024, "Spatiotemporal Skip
    Guidance for Enhanced Video Diffusion Sampling". rescaling_scale: how far the result's spread is brought back to that of the
    positive prediction. Takes one more call of the network in its part of the schedule.
    """

    double: tuple[int, ...]
    single: tuple[int, ...]
    scale: float = 3.0
    start_percent: float = 0.01
    end_percent: float = 0.15
    rescaling_scale: float = 0.0

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        if self.scale == 0 or not between(step.prediction, step.sigma, self.start_percent, self.end_percent):
            return denoised
        skipped = step.predict(step.positive, inside=(SkippedLayers(self.double, self.single),))
        guided = denoised + (step.cond - skipped) * self.scale
        if self.rescaling_scale == 0:
            return guided
        factor = self.rescaling_scale * (step.cond.std() / guided.std()) + (1 - self.rescaling_scale)
        return guided * factor

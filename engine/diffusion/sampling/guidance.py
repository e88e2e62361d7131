"""Guidance: how the predictions for several prompts become one, and where a model's own options take part.

A guider names the conditionings it wants predictions for and combines them. Options hang on a model value; they are immutable,
and what they must remember within a run they keep in the step's memory, never in themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from engine.diffusion.sampling.inside import Inside
from engine.diffusion.sampling.prediction import Prediction
from engine.diffusion.sampling.reuse import Reuse
from engine.values.conditioning import Conditioning


class Guided(NamedTuple):
    """The denoised prediction after guidance, and the negative's own (None where it was not computed)."""

    denoised: Tensor
    uncond: Tensor | None

    @property
    def negative(self) -> Tensor:
        """The negative's prediction, zeros where there is none, for samplers that read it."""
        return torch.zeros_like(self.denoised) if self.uncond is None else self.uncond


@dataclass(frozen=True, eq=False)
class Step:
    """One evaluation of a model: x [B, C, h, w] at level sigma, and the denoised predictions for both sides.

    uncond is None where the negative side was not computed. predict(conditioning, x=None, inside=()) evaluates the network once more:
    for another conditioning or another x, or with changes inside it. positive, negative: what cond and uncond are predictions for.
    memory lives as long as the run.
    """

    x: Tensor
    sigma: Tensor
    scale: float
    cond: Tensor
    uncond: Tensor | None
    prediction: Prediction
    sigmas: Tensor
    predict: Callable[..., Tensor]
    memory: dict[Any, Any]
    positive: Conditioning = field(default_factory=Conditioning)
    negative: Conditioning = field(default_factory=Conditioning)

    def with_sides(self, cond: Tensor, uncond: Tensor | None) -> Step:
        return replace(self, cond=cond, uncond=uncond)


BeforeCFG = Callable[[Step], Step]
CombineCFG = Callable[[Step], Tensor]
AfterCFG = Callable[[Step, Tensor], Tensor]
MaskFunction = Callable[[Tensor, Tensor, Tensor, Prediction], Tensor]
"""(mask, sigma, sigmas of the run, prediction) -> the mask in force at this level."""


@dataclass(frozen=True, eq=False)
class GuidanceOptions:
    """What takes part in guidance besides the scale, in order: before, instead of, and after the CFG formula.

    keep_uncond: compute the negative side also where the scale is 1. mask: changes the inpainting mask from level to level.
    inside: changes inside the network. reuse: when the network is not asked at all.
    """

    before: tuple[BeforeCFG, ...] = ()
    combine: CombineCFG | None = None
    after: tuple[AfterCFG, ...] = ()
    mask: MaskFunction | None = None
    keep_uncond: bool = False
    inside: tuple[Inside, ...] = ()
    reuse: Reuse | None = None

    def adding(
        self,
        *,
        before: BeforeCFG | None = None,
        combine: CombineCFG | None = None,
        after: AfterCFG | None = None,
        mask: MaskFunction | None = None,
        keep_uncond: bool = False,
        inside: Inside | None = None,
        reuse: Reuse | None = None,
    ) -> GuidanceOptions:
        """These options with more of them; a `combine`, a `mask` or a `reuse` replaces the one before."""
        return replace(
            self,
            before=self.before + ((before,) if before else ()),
            combine=combine or self.combine,
            after=self.after + ((after,) if after else ()),
            mask=mask or self.mask,
            keep_uncond=self.keep_uncond or keep_uncond,
            inside=self.inside + ((inside,) if inside else ()),
            reuse=reuse or self.reuse,
        )


class Guider(Protocol):
    """Which conditionings a run needs predictions for, and how these are combined."""

    def sides(self, keep_uncond: bool) -> Sequence[Conditioning]: ...

    def guide(self, predictions: Sequence[Tensor], step: Step, options: GuidanceOptions) -> Guided: ...


def classifier_free(step: Step) -> Tensor:
    """U + (C - U) * scale (Ho and Salimans 2022), C where there is no U."""
    if step.uncond is None:
        return step.cond
    return step.uncond + (step.cond - step.uncond) * step.scale


def guided(step: Step, options: GuidanceOptions) -> Guided:
    """The CFG formula with everything that the options put around it."""
    for change in options.before:
        step = change(step)
    denoised = (options.combine or classifier_free)(step) if step.uncond is not None else step.cond
    for adjust in options.after:
        denoised = adjust(step, denoised)
    return Guided(denoised, step.uncond)


def is_one(scale: float) -> bool:
    return math.isclose(scale, 1.0)


@dataclass(frozen=True, eq=False)
class CFG:
    """Classifier-free guidance (Ho and Salimans 2022). At scale 1 the negative does not matter and is not computed."""

    positive: Conditioning
    negative: Conditioning = field(default_factory=Conditioning)
    scale: float = 1.0

    def sides(self, keep_uncond: bool) -> Sequence[Conditioning]:
        if not len(self.negative) or (is_one(self.scale) and not keep_uncond):
            return (self.positive,)
        return (self.positive, self.negative)

    def guide(self, predictions: Sequence[Tensor], step: Step, options: GuidanceOptions) -> Guided:
        uncond = predictions[1] if len(predictions) > 1 else None
        step = replace(step, cond=predictions[0], uncond=uncond, scale=self.scale, positive=self.positive, negative=self.negative)
        return guided(step, options)

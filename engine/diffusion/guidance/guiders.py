"""Guiders of three prompts, and negative prompts that cannot undo the positive one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from engine.diffusion.sampling.guidance import GuidanceOptions, Guided, Step, guided, is_one
from engine.values.conditioning import Conditioning


@dataclass(frozen=True, eq=False)
class DualCFG:
    """Two positive prompts over a negative one (Brooks et al. 2023, "InstructPix2Pix", section 3.2.1, with its two scales).

    regular: `second` is guided away from `negative`, and the difference of both positives is added with its own scale.
    nested: `first` guided away from `second` is itself guided away from `negative`.
    """

    first: Conditioning
    second: Conditioning
    negative: Conditioning
    scale: float = 8.0
    negative_scale: float = 8.0
    style: Literal["regular", "nested"] = "regular"

    def sides(self, keep_uncond: bool) -> Sequence[Conditioning]:
        if is_one(self.negative_scale) and not keep_uncond:
            return (self.first, self.second)
        return (self.first, self.second, self.negative)

    def guide(self, predictions: Sequence[Tensor], step: Step, options: GuidanceOptions) -> Guided:
        first, second = predictions[:2]
        step = replace(step, positive=self.second, negative=self.negative)
        negative = predictions[2] if len(predictions) > 2 else None
        if self.style == "nested":
            middle = second + self.scale * (first - second)
            return guided(replace(step, cond=middle, uncond=negative, scale=self.negative_scale), options)
        inner = guided(replace(step, cond=second, uncond=negative, scale=self.negative_scale), options)
        return Guided(inner.denoised + (first - second) * self.scale, inner.uncond)


@dataclass(frozen=True, eq=False)
class PerpNegGuider:
    """Perp-Neg with all three prompts in one call of the network (see `perpendicular`)."""

    positive: Conditioning
    negative: Conditioning
    empty: Conditioning
    scale: float = 8.0
    negative_scale: float = 1.0

    def sides(self, keep_uncond: bool) -> Sequence[Conditioning]:
        return (self.positive, self.negative, self.empty)

    def guide(self, predictions: Sequence[Tensor], step: Step, options: GuidanceOptions) -> Guided:
        positive, negative, empty = predictions
        step = replace(step, cond=positive, uncond=negative, scale=self.scale, positive=self.positive, negative=self.negative)
        denoised = perpendicular(positive, negative, empty, self.scale, self.negative_scale)
        for adjust in options.after:
            denoised = adjust(step, denoised)
        return Guided(denoised, negative)


@dataclass(frozen=True, eq=False)
class PerpNeg:
    """`combine`: Perp-Neg as a property of a model, with the empty prompt evaluated beside the two sides (see `perpendicular`)."""

    empty: Conditioning
    negative_scale: float = 1.0

    def __call__(self, step: Step) -> Tensor:
        if step.uncond is None:
            return step.cond
        return perpendicular(step.cond, step.uncond, step.predict(self.empty), step.scale, self.negative_scale)


def perpendicular(positive: Tensor, negative: Tensor, empty: Tensor, scale: float, negative_scale: float) -> Tensor:
    """Of the negative direction only what is perpendicular to the positive one is taken away.

    Armandpour et al. 2023, "Re-imagine the Negative Prompt Algorithm". Lengths and angles are those of the whole batch.
    """
    towards, away = positive - empty, negative - empty
    apart = away - (away * towards).sum() / towards.norm() ** 2 * towards
    return empty + scale * (towards - negative_scale * apart)

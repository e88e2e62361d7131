"""Denoisers: callables (x, sigma) -> denoised, which is all that a sampler sees of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from engine.diffusion.sampling.conditions import BEGINNING, Position
from engine.diffusion.sampling.guidance import Guided, Guider, MaskFunction, Step
from engine.diffusion.sampling.inside import Inside
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.diffusion.sampling.prediction import Prediction
from engine.diffusion.sampling.predictor import Predictor
from engine.diffusion.sampling.reuse import Change
from engine.values.conditioning import Conditioning


class Denoiser(Protocol):
    """x [B, C, h, w] float32 at level sigma, a float32 scalar tensor on the CPU, to the denoised latent of the same shape."""

    @property
    def prediction(self) -> Prediction: ...

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        """The same with the negative prompt's own prediction beside it."""


class GuidedDenoiser:
    """A model under a guider. It counts its evaluations, by which prompts that change on the way are timed.

    With `reuse` of guided predictions (LazyCache) it foretells them where they change little.
    """

    def __init__(
        self,
        model: DiffusionModel,
        guider: Guider,
        start: Start,
        sigmas: Tensor,
        *,
        keep_uncond: bool = False,
        position: Position = BEGINNING,
    ) -> None:
        self.prediction = model.prediction
        self._guider, self._options, self._sigmas = guider, model.options, sigmas
        self._memory: dict[Any, Any] = {}
        self._position = position
        self._predictor = Predictor(model, start, self._memory)
        self._sides = self._predictor.place(guider.sides(keep_uncond or model.options.keep_uncond))
        reuse = model.options.reuse
        self._change = Change(reuse, model.prediction) if reuse and reuse.guided else None
        self._moves: Guided | None = None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.guided(x, sigma).denoised

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        position = self._position
        self._position = position.next()
        if self._change is None:
            return self._evaluated(x, sigma, position)
        if self._moves is not None and self._change.is_small(x, sigma):
            denoised, uncond = self._moves
            return Guided(x + denoised, None if uncond is None else x + uncond)
        found = self._evaluated(x, sigma, position)
        self._change.learn(x, found.denoised)
        self._moves = Guided(found.denoised - x, None if found.uncond is None else found.uncond - x)
        return found

    def _evaluated(self, x: Tensor, sigma: Tensor, position: Position) -> Guided:
        predictions = self._predictor(self._sides, x, sigma, position)
        step = Step(
            x=x,
            sigma=sigma,
            scale=1.0,
            cond=predictions[0],
            uncond=None,
            prediction=self.prediction,
            sigmas=self._sigmas,
            predict=partial(self._predict, x, sigma, position),
            memory=self._memory,
        )
        return self._guider.guide(predictions, step, self._options)

    def _predict(
        self,
        x: Tensor,
        sigma: Tensor,
        position: Position,
        conditioning: Conditioning,
        other_x: Tensor | None = None,
        inside: Sequence[Inside] = (),
    ) -> Tensor:
        return self._predictor.of(conditioning, x if other_x is None else other_x, sigma, position, inside)


class MaskedDenoiser:
    """A denoiser that keeps the unmasked part of a latent (inpainting with any model).

    Before each evaluation the kept part of x is put at the level of the noise, always with the same noise; after it, the kept part
    of the prediction is the latent itself. Soft mask values blend.
    """

    def __init__(
        self, inner: Denoiser, mask: Tensor, latent: Tensor, noise: Tensor, sigmas: Tensor, function: MaskFunction | None = None
    ) -> None:
        self.prediction = inner.prediction
        self._inner, self._mask, self._latent, self._noise = inner, mask, latent, noise
        self._sigmas, self._function = sigmas, function

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.guided(x, sigma).denoised

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        mask = self._mask if self._function is None else self._function(self._mask, sigma, self._sigmas, self.prediction)
        kept = 1.0 - mask
        noised = self.prediction.add_noise(sigma, self._noise, self._latent)
        denoised, uncond = self._inner.guided(x * mask + noised * kept, sigma)
        return Guided(denoised * mask + self._latent * kept, uncond)

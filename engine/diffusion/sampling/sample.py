"""A sampling run from a latent to a latent: noise in, schedule, sampler, scaling out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engine.diffusion.sampling.conditions import Position, repeat_to
from engine.diffusion.sampling.denoiser import Denoiser, GuidedDenoiser, MaskedDenoiser
from engine.diffusion.sampling.guidance import CFG, Guider
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.diffusion.sampling.noise import Noise, initial_noise
from engine.diffusion.sampling.samplers import Sampler, sampler_of
from engine.diffusion.sampling.schedules import cut, partial
from engine.errors import InvalidInput, NodeFailed
from engine.values.conditioning import Conditioning
from engine.values.latent import Latent

ProgressCallback = Callable[[int, int, Tensor, Tensor], None]
"""(step from 1, number of steps, x before the step, denoised), both [B, C, h, w] in the network's space on its device.

Called once per step. Whatever it raises ends the run, which is how a run is cancelled.
"""


NOT_FINITE = "numbers that are not finite (NaN or infinity)"


class Part(NamedTuple):
    """A run that begins at `first_step` (from 0) of a whole run of `steps` steps."""

    first_step: int
    steps: int


class Sampled(NamedTuple):
    """The latent a run ended with, and what the model last took the finished picture for."""

    output: Latent
    denoised: Latent


def sample(
    model: DiffusionModel,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    *,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    denoise: float = 1.0,
    start_at_step: int | None = None,
    end_at_step: int | None = None,
    add_noise: bool = True,
    leftover_noise: bool = False,
    callback: ProgressCallback | None = None,
) -> Latent:
    """Denoise a latent along a schedule, under classifier-free guidance.

    latent: where to start from; all zeros is an empty picture. Its noise mask restricts the run to a part (inpainting).
    seed: 0 .. 2^64 - 1, of the first noise and of the noise that some samplers add on the way.
    denoise: the share of the schedule that is run, in `steps` steps; 0 returns the latent as it is.
    start_at_step, end_at_step: run this part of the schedule only. add_noise: off continues a latent that is noisy already.
    leftover_noise: a run that ends early keeps its noise for a next run, instead of going to a clean latent in its last step.

    Returns the latent with new samples, float32 on the CPU, and its other fields unchanged. Raises InvalidInput for names that do not
    exist and for a latent or levels that are not finite, NodeFailed at the step where the model gives no finite numbers.
    """
    sampler = sampler_of(sampler_name)
    sigmas = partial(scheduler, model.prediction, steps, denoise, drop_second_last=sampler.drop_second_last)
    part = Part(start_at_step or 0, len(sigmas) - 1)
    sigmas = cut(sigmas, start_at_step, end_at_step, leftover_noise=leftover_noise)
    guider = CFG(positive, negative, cfg)
    return sample_custom(model, guider, sampler, sigmas, latent, noise=Noise(seed, add_noise), part=part, callback=callback).output


@torch.no_grad()
def sample_custom(
    model: DiffusionModel,
    guider: Guider,
    sampler: Sampler,
    sigmas: Tensor,
    latent: Latent,
    *,
    noise: Noise,
    part: Part | None = None,
    callback: ProgressCallback | None = None,
) -> Sampled:
    """A run whose guider, sampler, levels and noise are chosen one by one.

    sigmas: [n + 1] levels as a schedule gives them; with none (or one) the latent comes back as it is. part: of which run they are a
    part, by which prompts that change on the way are timed; by default they are a whole one.
    """
    latent = replace(latent, samples=fit_channels(latent.samples.float().cpu(), model.latent_format))
    if len(sigmas) < 2:
        return Sampled(latent, latent)
    sigmas = sigmas.float().cpu()
    _check_finite(latent.samples, "The latent to start from", "Look at the node that made it.")
    _check_levels(sigmas, distinct=sampler.distinct)
    start = _start(model, latent, noise)
    denoiser = _denoiser(model, guider, sampler, sigmas, start, part or Part(0, len(sigmas) - 1))
    hint = _hint(sigmas)
    watch = _Watch(len(sigmas) - 1, callback, hint)
    options = dict(sampler.options)
    x = model.prediction.start(sigmas[0], start.noise, start.latent)
    if sampler.noise:
        options["noise"] = sampler.noise(x, noise.seed, sigmas)
    if sampler.last_sigma and sigmas[-1] == 0:
        sigmas = torch.cat([sigmas[:-1], sigmas.new_tensor([sampler.last_sigma])])
    x = sampler.function(denoiser, x, sigmas, callback=watch, **options)
    output = _finished(latent, model.prediction.finish(x, sigmas[-1]), model, hint)
    denoised = output if watch.denoised is None else _finished(latent, watch.denoised, model, hint)
    return Sampled(output, denoised)


def fit_channels(samples: Tensor, latent_format: LatentFormat) -> Tensor:
    """An all-zero latent with the number of channels that the model wants; any other latent as it is."""
    wanted = latent_format.channels
    if samples.shape[1] == wanted or samples.count_nonzero():
        return samples
    return samples.new_zeros(samples.shape[0], wanted, *samples.shape[2:])


def _start(model: DiffusionModel, latent: Latent, noise: Noise) -> Start:
    samples = latent.samples
    # An empty latent stays zero: it stands for no picture, not for the picture that encodes to zero.
    inside = model.latent_format.process_in(samples) if samples.count_nonzero() else samples
    mask = None if latent.noise_mask is None else _fit_mask(latent.noise_mask, samples).to(model.device)
    return Start(noise.draw(latent).to(model.device), inside.to(model.device), mask, noise.seed)


def _fit_mask(mask: Tensor, samples: Tensor) -> Tensor:
    """[M, 1, H, W] to [B, 1, h, w]."""
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
    return repeat_to(interpolate(mask, size=samples.shape[-2:], mode="bilinear"), len(samples))


def _denoiser(model: DiffusionModel, guider: Guider, sampler: Sampler, sigmas: Tensor, start: Start, part: Part) -> Denoiser:
    position = Position(part.first_step * sampler.evaluations, part.steps * sampler.evaluations)
    denoiser = GuidedDenoiser(model, guider, start, sigmas, keep_uncond=sampler.needs_uncond, position=position)
    if start.mask is None:
        return denoiser
    noise = start.noise
    if sampler.fresh_mask_noise:
        noise = initial_noise(noise.shape, (start.seed + 1) % 2**64).to(noise.device)
    return MaskedDenoiser(denoiser, start.mask, start.latent, noise, sigmas, model.options.mask)


def _finished(latent: Latent, x: Tensor, model: DiffusionModel, hint: str) -> Latent:
    samples = model.latent_format.process_out(x.float()).cpu()
    if not samples.isfinite().all():
        raise NodeFailed(f"The sampled latent holds {NOT_FINITE}.", hint=hint)
    return replace(latent, samples=samples)


def _hint(sigmas: Tensor) -> str:
    """What to do about numbers that are not finite."""
    if (sigmas.diff() > 0).any():
        return "The levels rise on the way, which not every sampler can follow: try euler, or levels that fall."
    return "The model may overflow in its number format: try --precision fp32 or a lower guidance scale."


def _check_levels(sigmas: Tensor, *, distinct: bool) -> None:
    _check_finite(sigmas, "The schedule", "Some schedules need more than one step.")
    if (sigmas[:-1] <= 0).any() or sigmas[-1] < 0:
        raise InvalidInput(
            "The schedule has a level of 0 or less before its end, where there is nothing to denoise.",
            hint="Look at the node that made the levels; only the last one may be 0.",
        )
    twice = (sigmas.diff() == 0).nonzero()
    if distinct and len(twice):
        raise InvalidInput(
            f"The schedule has the level {float(sigmas[twice[0, 0]]):g} twice in a row, and this sampler needs levels that differ.",
            hint="Use fewer steps, another schedule (normal or karras have no equal levels), or the sampler euler.",
        )


def _check_finite(values: Tensor, what: str, hint: str) -> None:
    if not values.isfinite().all():
        raise InvalidInput(f"{what} holds {NOT_FINITE}.", hint=hint)


class _Watch:
    """Passes a sampler's steps on to a progress callback, keeps the last denoised latent, and ends the run at one that is not finite.

    CUDA computes while this goes on, so what it says of a step is read at the next one: by then it is there, and nothing waits.
    """

    def __init__(self, total: int, callback: ProgressCallback | None, hint: str) -> None:
        self.total, self._callback, self._hint = total, callback, hint
        self.denoised: Tensor | None = None
        self._before: tuple[int, Callable[[], bool]] | None = None

    def __call__(self, step: int, x: Tensor, denoised: Tensor) -> None:
        number = min(step + 1, self.total)
        if self._before is not None:
            self._check(*self._before)
        self._before = number, _is_finite(denoised)
        if not denoised.is_cuda:
            self._check(*self._before)
        self.denoised = denoised
        if self._callback is not None:
            self._callback(number, self.total, x, denoised)

    def _check(self, number: int, is_finite: Callable[[], bool]) -> None:
        if not is_finite():
            raise NodeFailed(f"What the model predicts at step {number} of {self.total} holds {NOT_FINITE}.", hint=self._hint)


def _is_finite(values: Tensor) -> Callable[[], bool]:
    """Begin to find out whether all values are finite; the function waits for that and for nothing that was asked of the device later."""
    found = values.isfinite().all()
    if not found.is_cuda:
        return lambda: bool(found)
    copied, there = found.to("cpu", non_blocking=True), torch.cuda.Event()
    there.record(torch.cuda.current_stream(values.device))

    def read() -> bool:
        there.synchronize()
        return bool(copied)

    return read

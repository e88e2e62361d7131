"""What a network is trained to do: noise on a latent, a target, and how the distance from it counts.

Latents are float32 [B, C, h, w] in the model's space. Everything random is drawn on the CPU from the generator given.
Sources: Ho et al. 2020 (noise), Salimans and Ho 2022 (v), Lipman et al. 2023 and Esser et al. 2024 (flow), Hang et al. 2023 (min-SNR),
Yu et al. 2023 (debiased), Crowson et al. 2024 (soft min-SNR), Guttenberg 2023 (noise offset), Whitaker 2023 (multi-resolution noise),
Ning et al. 2023 (input perturbation), Zhou et al. 2023 (DREAM), Khrapov et al. 2024 (scheduled Huber), Lin et al. 2023 (zero terminal SNR).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engine.diffusion.sampling.noise_levels import Discrete, Flow, zero_terminal_snr
from engine.diffusion.sampling.prediction import Epsilon, FlowVelocity, Prediction, Velocity
from engine.errors import InvalidInput
from engine.values.training import Objective

LARGEST_SNR = 1000.0
SMALLEST_SNR = 1e-8
SMALLEST_SIGMA = 1e-3

T = TypeVar("T", Tensor, float)


class Noised(NamedTuple):
    """x: what the network sees, [B, C, h, w]; told: the timesteps it is told, [B]; target: what it should predict.

    time: the share of noise in 0..1 along the levels; signal: the cumulative alpha, or for flow models 1 - sigma; both [B].
    """

    x: Tensor
    told: Tensor
    target: Tensor
    time: Tensor
    signal: Tensor

    def to(self, device: torch.device) -> Noised:
        return Noised(*(tensor.to(device) for tensor in self))


@dataclass(frozen=True)
class Task:
    """An objective for one kind of model. Make it with `task`."""

    settings: Objective
    prediction: Prediction

    @property
    def flow(self) -> bool:
        return isinstance(self.prediction.formula, FlowVelocity)

    @property
    def velocity(self) -> bool:
        return isinstance(self.prediction.formula, Velocity)

    def noised(self, latents: Tensor, generator: torch.Generator, time: Tensor | None = None) -> Noised:
        """Latents with noise, at drawn timesteps or at the given ones (shares of the levels in 0..1, [B])."""
        drawn = draw_times(self.settings, self.prediction, len(latents), generator) if time is None else time
        noise = draw_noise(self.settings, latents, generator)
        added = noise
        if strength := self.settings.input_noise:
            factor = _strengths(strength, self.settings.input_noise_random, len(latents), generator)
            added = noise + factor * torch.randn(latents.shape, generator=generator)
        if self.flow:
            return self._along_flow(latents, noise, added, drawn)
        return self._diffused(latents, noise, added, drawn)

    def _diffused(self, latents: Tensor, noise: Tensor, added: Tensor, time: Tensor) -> Noised:
        alphas = _alphas(self.prediction)
        index = (time * len(alphas)).long().clamp(max=len(alphas) - 1)
        signal = alphas[index].float()
        data, share = _spread(signal.sqrt(), latents), _spread((1 - signal).sqrt(), latents)
        target = data * noise - share * latents if self.velocity else noise
        return Noised(data * latents + share * added, index.float(), target, index / len(alphas), signal)

    def _along_flow(self, latents: Tensor, noise: Tensor, added: Tensor, time: Tensor) -> Noised:
        levels = self.prediction.levels
        assert isinstance(levels, Flow)  # noqa: S101  (`task` has checked it)
        sigma = levels.sigma(time.clamp(min=1e-5) * levels.multiplier)
        share = _spread(sigma, latents)
        return Noised(share * added + (1 - share) * latents, levels.timestep(sigma), noise - latents, time, 1 - sigma)

    def dreamt(self, noised: Noised, prediction: Tensor) -> Noised:
        """What DREAM trains on: further noise in the direction of the network's mistake, which it should then predict too.

        prediction: of the network for `noised`, without gradients.
        """
        share = _spread((1 - noised.signal).sqrt(), noised.x)
        mistake = (noised.target - prediction) * share**self.settings.dream
        return noised._replace(x=noised.x + share * mistake, target=noised.target + mistake)

    def losses(self, output: Tensor, noised: Noised, mask: Tensor | None = None) -> Tensor:
        """The loss of each example, [B]: elementwise, then the mask, then the mean, then the weight of its timestep.

        mask: [B, 1, h, w] in 0..1, how much each place counts.
        """
        difference = self._elementwise(output.float(), noised)
        loss = _mean(difference, mask, self.settings)
        if self.flow:
            return loss * flow_weight(self.settings.weighting, 1 - noised.signal)
        snr = (noised.signal / (1 - noised.signal)).clamp(min=SMALLEST_SNR)
        loss = loss * snr_weight(self.settings.weighting, self.settings.gamma, snr, velocity=self.velocity)
        like_noise = snr.clamp(max=LARGEST_SNR) / (snr.clamp(max=LARGEST_SNR) + 1)
        if self.settings.v_loss_like_noise:
            loss = loss * like_noise
        return loss + self.settings.v_like_share * loss / like_noise if self.settings.v_like_share else loss

    def _elementwise(self, output: Tensor, noised: Noised) -> Tensor:
        difference = output - noised.target
        if self.settings.loss == "l2":
            return difference**2
        if self.settings.loss == "l1":
            return difference.abs()
        c = _spread(huber_c(self.settings, noised.time, noised.signal), difference)
        bend = (difference**2 + c**2).sqrt() - c
        return 2 * c * bend if self.settings.loss == "huber" else 2 * bend


def task(settings: Objective, prediction: Prediction) -> Task:
    """The objective for a model with this prediction. Raises InvalidInput for settings that have no effect or no sense together."""
    formula = prediction.formula
    flow, velocity = isinstance(formula, FlowVelocity), isinstance(formula, Velocity)
    if type(formula) not in (Epsilon, Velocity, FlowVelocity):
        raise InvalidInput(
            f"A model whose network predicts {type(formula).__name__.lower()} cannot be trained.",
            hint="Models that predict noise, v or a flow can.",
        )
    refuse = _Refusal(settings)
    if flow:
        names = ("zero_terminal_snr", "v_loss_like_noise", "v_like_share", "first_timestep", "last_timestep")
        refuse.all_set(names, "no effect on a flow model")
        refuse.value("weighting", ("min_snr", "soft_min_snr", "debiased"), "no meaning for a flow model, which has no SNR table")
        if settings.loss in ("huber", "smooth_l1"):
            refuse.value("huber_schedule", ("snr",), "no meaning for a flow model; take constant or exponential")
    else:
        refuse.value("weighting", ("sigma_sqrt", "cosmap"), "a meaning for flow models only")
        refuse.all_set(("shift",), "an effect on flow models only")
    if flow or velocity:
        refuse.all_set(("dream",), "a meaning for models that predict noise only")
    if not velocity:
        refuse.all_set(("v_loss_like_noise",), "an effect on v-prediction models only")
        if not flow:
            refuse.all_set(("zero_terminal_snr",), "a meaning for v-prediction models only: noise alone says nothing about the picture")
    else:
        refuse.all_set(("v_like_share",), "an effect on models that predict noise only: this one has the loss on v already")
    if settings.loss in ("l1", "l2"):
        refuse.all_set(("huber_c", "huber_scale", "huber_schedule"), f"no effect on the loss {settings.loss}")
    if settings.loss in ("huber", "smooth_l1") and settings.huber_schedule == "snr":
        refuse.all_set(("huber_scale",), "no effect on the snr schedule")
    if settings.weighting not in ("min_snr", "soft_min_snr"):
        refuse.all_set(("gamma",), f"no effect on the weighting {settings.weighting}")
    if settings.multires_iterations:
        refuse.all_set(("noise_offset",), "no place beside multi-resolution noise; use one of them")
    else:
        refuse.all_set(("multires_discount",), "no effect without multires_iterations")
    if not settings.noise_offset:
        refuse.all_set(("noise_offset_random", "adaptive_noise_scale"), "no effect without noise_offset")
    if not settings.input_noise:
        refuse.all_set(("input_noise_random",), "no effect without input_noise")
    if settings.timesteps == "uniform":
        refuse.all_set(("sampler_mean", "sampler_std"), "no effect on uniform timesteps")
    if settings.timesteps == "mode":
        refuse.all_set(("sampler_mean",), "no effect on the mode sampler")
    if settings.first_timestep >= settings.last_timestep:
        raise InvalidInput(f"first_timestep {settings.first_timestep} is not below last_timestep {settings.last_timestep}.")
    if settings.zero_terminal_snr:
        prediction = replace(prediction, levels=Discrete(zero_terminal_snr(_alphas(prediction))))
    if flow and settings.shift:
        prediction = replace(prediction, levels=replace(prediction.levels, shift=settings.shift))  # type: ignore[type-var]
    return Task(settings, prediction)


class _Refusal:
    """Raises InvalidInput for settings that were changed although they change nothing."""

    def __init__(self, settings: Objective) -> None:
        self._settings = settings

    def all_set(self, names: tuple[str, ...], reason: str) -> None:
        for name in names:
            value = getattr(self._settings, name)
            if value != Objective.model_fields[name].default:
                raise InvalidInput(f"{name} = {value} has {reason}.", hint=f"Leave {name} at {Objective.model_fields[name].default}.")

    def value(self, name: str, values: tuple[str, ...], reason: str) -> None:
        value = getattr(self._settings, name)
        if value in values:
            raise InvalidInput(f"{name} = {value} has {reason}.", hint=f"Leave {name} at {Objective.model_fields[name].default}.")


def snr_weight(weighting: str, gamma: float, snr: Tensor, *, velocity: bool) -> Tensor:
    """The weight of a loss on the noise, or on v, at these signal-to-noise ratios."""
    own = snr + 1 if velocity else snr
    if weighting == "min_snr":
        return snr.clamp(max=gamma) / own
    if weighting == "soft_min_snr":
        return snr * gamma / (snr + gamma) / own
    if weighting == "debiased":
        capped = snr.clamp(max=LARGEST_SNR)
        return 1 / (capped + 1) if velocity else capped.rsqrt()
    return torch.ones_like(snr)


def flow_weight(weighting: str, sigma: Tensor) -> Tensor:
    """Esser et al. 2024: 1 / s^2, or the density of the cosine map 2 / (pi (1 - 2 s + 2 s^2)).

    1 / s^2 grows no further below the first of the 1000 timesteps for which it is meant.
    """
    if weighting == "sigma_sqrt":
        return sigma.clamp(min=SMALLEST_SIGMA) ** -2
    if weighting == "cosmap":
        return 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2))
    return torch.ones_like(sigma)


def huber_c(settings: Objective, time: Tensor, signal: Tensor) -> Tensor:
    """Where the loss bends from square to linear, [B]."""
    if settings.huber_schedule == "constant":
        return torch.full_like(time, settings.huber_c * settings.huber_scale)
    if settings.huber_schedule == "exponential":
        return (math.log(settings.huber_c) * time).exp() * settings.huber_scale
    sigma = ((1 - signal) / signal.clamp(min=SMALLEST_SNR)).sqrt()
    return (1 - settings.huber_c) / (1 + sigma) ** 2 + settings.huber_c


def draw_times(settings: Objective, prediction: Prediction, count: int, generator: torch.Generator) -> Tensor:
    """Shares of the noise levels from the first timestep to below the last, [count] float32.

    stratified: one from each of as many equal parts, in random order.
    """
    uniform = torch.rand(count, generator=generator)
    if settings.stratified:
        uniform = (torch.randperm(count, generator=generator) + uniform) / count
    low, high = settings.first_timestep / 1000, settings.last_timestep / 1000
    below = torch.nextafter(torch.tensor(high), torch.tensor(0.0))
    return (low + (high - low) * _sampled(settings, prediction, uniform)).clamp(torch.tensor(low), below)


def _sampled(settings: Objective, prediction: Prediction, uniform: Tensor) -> Tensor:
    """A uniform number as one of the sampler's distribution, by its quantile function, so that strata stay strata."""
    if settings.timesteps == "uniform":
        return uniform
    if settings.timesteps == "mode":
        scale = 1.29 * settings.sampler_std
        return 1 - uniform - scale * ((math.pi / 2 * uniform).cos() ** 2 - 1 + uniform)
    normal = settings.sampler_mean + settings.sampler_std * torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
    if settings.timesteps == "logit_normal":
        return normal.sigmoid()
    levels = prediction.levels
    sigma = normal.exp()
    if isinstance(levels, Discrete):
        return levels.timestep(sigma) / len(levels.alphas)
    return sigma / (1 + sigma)


def draw_noise(settings: Objective, latents: Tensor, generator: torch.Generator) -> Tensor:
    """Noise in the shape of the latents."""
    noise = torch.randn(latents.shape, generator=generator)
    if settings.noise_offset:
        offset: Tensor | float = _strengths(settings.noise_offset, settings.noise_offset_random, len(latents), generator)
        if settings.adaptive_noise_scale:
            offset = (offset + settings.adaptive_noise_scale * latents.mean(dim=(2, 3), keepdim=True).abs()).clamp(min=0)
        noise = noise + offset * torch.randn(*latents.shape[:2], 1, 1, generator=generator)
    return _multires(settings, noise, generator) if settings.multires_iterations else noise


def _multires(settings: Objective, noise: Tensor, generator: torch.Generator) -> Tensor:
    """Noise plus ever coarser and weaker noise, of unit deviation."""
    height, width = noise.shape[2:]
    for level in range(settings.multires_iterations):
        ratio = (torch.rand(1, generator=generator).item() * 2 + 2) ** level
        size = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse = torch.randn(*noise.shape[:2], *size, generator=generator)
        noise = noise + interpolate(coarse, (height, width), mode="bilinear") * settings.multires_discount**level
        if 1 in size:
            break
    return noise / noise.std()


def _strengths(strength: float, random: bool, count: int, generator: torch.Generator) -> Tensor | float:
    return strength * torch.rand(count, 1, 1, 1, generator=generator) if random else strength


def _mean(loss: Tensor, mask: Tensor | None, settings: Objective) -> Tensor:
    if mask is None:
        return loss.mean(dim=(1, 2, 3))
    weight = (mask + settings.unmasked_weight * (1 - mask)).to(loss)
    if settings.mask_scale == "area":
        return (loss * weight).mean(dim=(1, 2, 3)) / weight.mean(dim=(1, 2, 3)).clamp(min=1e-6)
    return (loss * weight).mean(dim=(1, 2, 3))


def _alphas(prediction: Prediction) -> Tensor:
    levels = prediction.levels
    if not isinstance(levels, Discrete) or levels.stride != 1:
        raise InvalidInput("The noise levels set on this model are not those of a trained model.", hint="Take off its sampling settings.")
    return levels.alphas


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1)).to(like)

"""Schedules: the falling noise levels a sampler walks along. Pure functions of a prediction and a number of steps.

Every schedule returns float32 sigmas on the CPU that fall and end in 0: steps + 1 of them, except `ddim_uniform` and `beta`,
which may return another number where the table of the model does not divide evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from engine.diffusion.sampling.prediction import Prediction
from engine.errors import InvalidInput

Schedule = Callable[[Prediction, int], Tensor]

LONGEST = 1_000_000
"""Steps of a schedule of which a part is run."""


def with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def simple(prediction: Prediction, steps: int) -> Tensor:
    """Levels of the table at even strides from the noisy end."""
    table = prediction.levels.sigmas
    stride = len(table) / steps
    return with_zero(table[[-(1 + int(k * stride)) for k in range(steps)]])


def normal(prediction: Prediction, steps: int) -> Tensor:
    """Even timesteps from the highest to the lowest level of the table, then 0."""
    high, low = _timestep_range(prediction)
    if abs(prediction.levels.sigma(low).item()) < 1e-5:
        return prediction.levels.sigma(torch.linspace(high.item(), low.item(), steps + 1))
    return with_zero(prediction.levels.sigma(torch.linspace(high.item(), low.item(), steps)))


def sgm_uniform(prediction: Prediction, steps: int) -> Tensor:
    """Even timesteps that stop one step before the lowest level, then 0 (Stability's generative-models)."""
    high, low = _timestep_range(prediction)
    return with_zero(prediction.levels.sigma(torch.linspace(high.item(), low.item(), steps + 1)[:-1]))


def karras(prediction: Prediction, steps: int) -> Tensor:
    """Even steps of the seventh root of sigma (Karras et al. 2022, eq. 5)."""
    return karras_range(steps, prediction.sigma_min, prediction.sigma_max)


def karras_range(steps: int, low: float, high: float, rho: float = 7.0) -> Tensor:
    """Even steps of sigma^(1/rho) between two levels, then 0. Raises InvalidInput for a rho below 0.01."""
    if rho < 0.01:
        raise InvalidInput(f"A Karras schedule with rho {rho:g} has no levels.", hint="Use 7, or 1 for even steps.")
    low_root, high_root = low ** (1 / rho), high ** (1 / rho)
    return with_zero((high_root + torch.linspace(0, 1, steps) * (low_root - high_root)) ** rho)


def exponential(prediction: Prediction, steps: int) -> Tensor:
    """Even steps of log sigma."""
    return exponential_range(steps, prediction.sigma_min, prediction.sigma_max)


def exponential_range(steps: int, low: float, high: float) -> Tensor:
    """Even steps of log sigma between two levels, then 0. Raises InvalidInput for levels of 0."""
    log_low, log_high = _logs(low, high)
    return with_zero(torch.linspace(log_high, log_low, steps).exp())


def ddim_uniform(prediction: Prediction, steps: int) -> Tensor:
    """Every (N // steps)-th level of the table, counted from its second (the time steps of DDIM, Song et al. 2021)."""
    table = prediction.levels.sigmas
    if abs(table[1].item()) < 1e-5:
        picked = table[1 :: max(len(table) // (steps + 1), 1)]
    else:
        picked = torch.cat([table.new_zeros(1), table[1 :: max(len(table) // steps, 1)]])
    return picked.flip(0)


def beta(prediction: Prediction, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Levels of the table at quantiles of a beta distribution, which gives both ends more steps (Lee et al. 2024).

    Raises InvalidInput for an alpha or beta for which there is no such distribution.
    """
    if alpha <= 0 or beta <= 0:
        raise InvalidInput(
            f"There is no beta distribution with alpha {alpha:g} and beta {beta:g}.", hint="Give both above 0; 0.6 is usual."
        )
    table = prediction.levels.sigmas
    quantiles = betaincinv(alpha, beta, 1 - np.linspace(0, 1, steps, endpoint=False))
    indices = np.rint(quantiles * (len(table) - 1)).astype(int)
    kept = [int(index) for k, index in enumerate(indices) if k == 0 or index != indices[k - 1]]
    return with_zero(table[kept])


def linear_quadratic(prediction: Prediction, steps: int, threshold: float = 0.025) -> Tensor:
    """A slow linear half and a fast quadratic half (Movie Gen, Polyak et al. 2024), scaled to the model's highest level."""
    if steps == 1:
        return torch.tensor([prediction.sigma_max, 0.0])
    linear_steps = steps // 2
    quadratic_steps = steps - linear_steps
    excess = linear_steps - threshold * steps
    square = excess / (linear_steps * quadratic_steps**2)
    slope = threshold / linear_steps - 2 * excess / quadratic_steps**2
    constant = square * linear_steps**2
    linear = [threshold * k / linear_steps for k in range(linear_steps)]
    quadratic = [square * k * k + slope * k + constant for k in range(linear_steps, steps)]
    return (1.0 - torch.tensor([*linear, *quadratic, 1.0])) * prediction.sigma_max


def kl_optimal(prediction: Prediction, steps: int) -> Tensor:
    """Even steps of atan(sigma) (Sabour et al. 2024, appendix). One step gives NaN: both ends cannot be met."""
    share = torch.arange(steps, dtype=torch.float32) / (steps - 1) if steps > 1 else torch.full((1,), math.nan)
    return with_zero((share * math.atan(prediction.sigma_min) + (1 - share) * math.atan(prediction.sigma_max)).tan())


def polyexponential_range(steps: int, low: float, high: float, rho: float = 1.0) -> Tensor:
    """Steps of log sigma along a power of the share left, then 0. Raises InvalidInput for levels of 0."""
    log_low, log_high = _logs(low, high)
    return with_zero((torch.linspace(1, 0, steps) ** rho * (log_high - log_low) + log_low).exp())


def _logs(low: float, high: float) -> tuple[float, float]:
    if low <= 0 or high <= 0:
        raise InvalidInput(f"Levels from {high:g} to {low:g} cannot be spaced by their logarithm.", hint="Give both ends above 0.")
    return math.log(low), math.log(high)


def laplace_range(steps: int, low: float, high: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Levels at the quantiles of a Laplace distribution of log sigma (Hang et al. 2024). Does not end in 0."""
    share = torch.linspace(0, 1, steps)
    log_sigmas = mu - beta * torch.sign(0.5 - share) * torch.log(1 - 2 * (0.5 - share).abs() + 1e-5)
    return log_sigmas.exp().clamp(low, high)


def variance_preserving(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, epsilon: float = 0.001) -> Tensor:
    """Even times of the linear-beta variance-preserving diffusion (Song et al. 2021), then 0."""
    time = torch.linspace(1, epsilon, steps)
    return with_zero((beta_d * time**2 / 2 + beta_min * time).expm1().sqrt())


def turbo(prediction: Prediction, steps: int, denoise: float = 1.0) -> Tensor:
    """The timesteps 999, 899, ... that SD Turbo was distilled on (Sauer et al. 2023), then 0."""
    first = 10 - int(10 * denoise)
    timesteps = torch.arange(999, -1, -100)[first : first + steps].float()
    return with_zero(prediction.levels.sigma(timesteps))


SCHEDULES: dict[str, Schedule] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}
SCHEDULER_NAMES = tuple(SCHEDULES)


def schedule(name: str, prediction: Prediction, steps: int) -> Tensor:
    """The schedule of this name; an unknown name is an error that lists the known ones."""
    if name not in SCHEDULES:
        raise InvalidInput(f"There is no schedule {name!r}.", hint=f"Choose one of {', '.join(SCHEDULES)}.")
    return SCHEDULES[name](prediction, steps)


def partial(name: str, prediction: Prediction, steps: int, denoise: float = 1.0, *, drop_second_last: bool = False) -> Tensor:
    """The last `steps` steps of a schedule long enough that they are its `denoise` part; empty if denoise is 0.

    drop_second_last: build one step more and leave out the second-last level, as samplers want that evaluate between levels.
    Raises InvalidInput for a denoise so small that the schedule would have more than a million steps.
    """

    def build(count: int) -> Tensor:
        if not drop_second_last:
            return schedule(name, prediction, count)
        sigmas = schedule(name, prediction, count + 1)
        return torch.cat([sigmas[:-2], sigmas[-1:]])

    if denoise > 0.9999:
        return build(steps)
    if denoise <= 0.0:
        return torch.empty(0)
    if steps / denoise > LONGEST:
        raise InvalidInput(
            f"{steps} steps that are the {denoise:g} part of a schedule would be of one with more than {LONGEST:,} steps.",
            hint="Use fewer steps or a larger denoise; 0 leaves the latent as it is.",
        )
    return build(int(steps / denoise))[-(steps + 1) :]


def cut(sigmas: Tensor, start: int | None, end: int | None, *, leftover_noise: bool) -> Tensor:
    """The steps start..end of a schedule; without leftover noise a schedule cut at the end still ends in 0.

    Empty if nothing is left to do.
    """
    if end is not None and end < len(sigmas) - 1:
        sigmas = sigmas[: end + 1].clone()
        if not leftover_noise:
            sigmas[-1] = 0.0
    if start is None:
        return sigmas
    return sigmas[start:] if start < len(sigmas) - 1 else torch.empty(0)


def _timestep_range(prediction: Prediction) -> tuple[Tensor, Tensor]:
    table = prediction.levels.sigmas
    return prediction.timestep(table[-1]), prediction.timestep(table[0])

"""Schedules as values: how the noise levels of a run are spaced, and what can be done to them."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine.diffusion.model_options import prediction
from engine.diffusion.sampling import schedules, sigma_tools
from engine.graph import Widget, node
from engine.values.model import Model
from engine.values.sigmas import Sigmas
from nodes.sampling import SchedulerName, Steps

Level = Annotated[float, Field(ge=0, le=5000), Widget(step=0.01, round=False)]
Share = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Rho = Annotated[float, Field(ge=0, le=100), Widget(step=0.01, round=False)]
HIGHEST, LOWEST = 14.614642, 0.0291675  # of SD1 and SDXL


class SplitLevels(NamedTuple):
    high_sigmas: Sigmas
    low_sigmas: Sigmas


class SigmaValue(NamedTuple):
    sigma_value: float


@node("BasicScheduler", category="sampling/custom_sampling/schedulers", display_name="Basic Scheduler")
def basic_scheduler(model: Model, scheduler: SchedulerName, steps: Steps = 20, denoise: Share = 1.0) -> Sigmas:
    """The noise levels of a named schedule for a model.

    denoise: below 1, the last `steps` steps of a longer schedule.
    """
    return schedules.partial(scheduler, prediction(model), steps, denoise)


@node("KarrasScheduler", category="sampling/custom_sampling/schedulers", display_name="Karras Scheduler")
def karras_scheduler(steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST, rho: Rho = 7.0) -> Sigmas:
    """Noise levels after Karras et al.: more steps at low levels.

    rho: 7 is the usual one; 1 spaces them evenly.
    """
    return schedules.karras_range(steps, sigma_min, sigma_max, rho)


@node("ExponentialScheduler", category="sampling/custom_sampling/schedulers", display_name="Exponential Scheduler")
def exponential_scheduler(steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST) -> Sigmas:
    """Noise levels that fall by the same factor in every step."""
    return schedules.exponential_range(steps, sigma_min, sigma_max)


@node("PolyexponentialScheduler", category="sampling/custom_sampling/schedulers", display_name="Polyexponential Scheduler")
def polyexponential_scheduler(steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST, rho: Rho = 1.0) -> Sigmas:
    """Noise levels whose logarithm falls along a power.

    rho: above 1, more steps at low levels.
    """
    return schedules.polyexponential_range(steps, sigma_min, sigma_max, rho)


@node("LaplaceScheduler", category="sampling/custom_sampling/schedulers", display_name="Laplace Scheduler")
def laplace_scheduler(
    steps: Steps = 20,
    sigma_max: Level = HIGHEST,
    sigma_min: Level = LOWEST,
    mu: Annotated[float, Field(ge=-10, le=10), Widget(step=0.1, round=False)] = 0.0,
    beta: Annotated[float, Field(ge=0, le=10), Widget(step=0.1, round=False)] = 0.5,
) -> Sigmas:
    """Noise levels that crowd around one level. They do not end in 0.

    mu: logarithm of that level.
    beta: how wide the crowd is.
    """
    return schedules.laplace_range(steps, sigma_min, sigma_max, mu, beta)


@node("VPScheduler", category="sampling/custom_sampling/schedulers", display_name="VP Scheduler")
def vp_scheduler(
    steps: Steps = 20,
    beta_d: Level = 19.9,
    beta_min: Level = 0.1,
    eps_s: Annotated[float, Field(ge=0, le=1), Widget(step=0.0001, round=False)] = 0.001,
) -> Sigmas:
    """Noise levels of a variance-preserving diffusion at even times.

    beta_d, beta_min: slope and start of its noise rate.
    eps_s: the last time.
    """
    return schedules.variance_preserving(steps, beta_d, beta_min, eps_s)


@node("SDTurboScheduler", category="sampling/custom_sampling/schedulers", display_name="SD Turbo Scheduler")
def sd_turbo_scheduler(model: Model, steps: Annotated[int, Field(ge=1, le=10)] = 1, denoise: Share = 1.0) -> Sigmas:
    """The noise levels that SD Turbo and SDXL Turbo were trained for."""
    return schedules.turbo(prediction(model), steps, denoise)


@node("BetaSamplingScheduler", category="sampling/custom_sampling/schedulers", display_name="Beta Sampling Scheduler")
def beta_sampling_scheduler(
    model: Model,
    steps: Steps = 20,
    alpha: Annotated[float, Field(ge=0, le=50), Widget(step=0.01, round=False)] = 0.6,
    beta: Annotated[float, Field(ge=0, le=50), Widget(step=0.01, round=False)] = 0.6,
) -> Sigmas:
    """Noise levels at quantiles of a beta distribution; both parameters below 1 give both ends more steps."""
    return schedules.beta(prediction(model), steps, alpha, beta)


@node("AlignYourStepsScheduler", category="sampling/custom_sampling/schedulers", display_name="Align Your Steps Scheduler")
def align_your_steps_scheduler(model_type: Literal["SD1", "SDXL", "SVD"], steps: Steps = 10, denoise: Share = 1.0) -> Sigmas:
    """Noise levels optimised for about ten steps of a family of models.

    denoise: the share of the steps that is run.
    """
    return sigma_tools.align_your_steps(model_type, steps, denoise)


@node("SplitSigmas", category="sampling/custom_sampling/sigmas", display_name="Split Sigmas")
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Field(ge=0, le=10_000)] = 0) -> SplitLevels:
    """Divide a schedule after a number of steps, for two samplers."""
    return SplitLevels(*sigma_tools.split(sigmas, step))


@node("SplitSigmasDenoise", category="sampling/custom_sampling/sigmas", display_name="Split Sigmas by Denoise")
def split_sigmas_denoise(sigmas: Sigmas, denoise: Share = 1.0) -> SplitLevels:
    """Divide a schedule so that the second part is a share of all steps."""
    return SplitLevels(*sigma_tools.split_by_denoise(sigmas, denoise))


@node("FlipSigmas", category="sampling/custom_sampling/sigmas", display_name="Flip Sigmas")
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Turn a schedule round, to lead a finished picture back to noise."""
    return sigma_tools.flipped(sigmas)


@node("SetFirstSigma", category="sampling/custom_sampling/sigmas", display_name="Set First Sigma")
def set_first_sigma(sigmas: Sigmas, sigma: Annotated[float, Field(ge=0, le=20_000), Widget(step=0.001, round=False)] = 136.0) -> Sigmas:
    """Let a schedule begin at another level."""
    return sigma_tools.with_first(sigmas, sigma)


@node("ExtendIntermediateSigmas", category="sampling/custom_sampling/sigmas", display_name="Extend Intermediate Sigmas")
def extend_intermediate_sigmas(
    sigmas: Sigmas,
    steps: Annotated[int, Field(ge=1, le=100)] = 2,
    start_at_sigma: Annotated[float, Field(ge=-1, le=20_000), Widget(step=0.01, round=False)] = -1.0,
    end_at_sigma: Annotated[float, Field(ge=0, le=20_000), Widget(step=0.01, round=False)] = 12.0,
    spacing: Literal["linear", "cosine", "sine"] = "linear",
) -> Sigmas:
    """Make the steps of a range of levels finer.

    steps: how many each of them becomes.
    start_at_sigma, end_at_sigma: the range; -1 has no upper end.
    """
    return sigma_tools.extended(sigmas, steps, start_at_sigma, end_at_sigma, spacing)


@node("SamplingPercentToSigma", category="sampling/custom_sampling/sigmas", display_name="Sampling Percent to Sigma")
def sampling_percent_to_sigma(
    model: Model, sampling_percent: Annotated[float, Field(ge=0, le=1), Widget(step=0.0001)] = 0.0, return_actual_sigma: bool = False
) -> SigmaValue:
    """The noise level of a model after a share of the denoising.

    return_actual_sigma: at 0 and 1 give the model's highest and lowest level, not what stands for before and after them.
    """
    return SigmaValue(sigma_tools.sigma_at(prediction(model), sampling_percent, return_actual_sigma))

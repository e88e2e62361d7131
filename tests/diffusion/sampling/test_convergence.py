"""Samplers against closed forms: Gaussian data with its exact denoiser has an exact path and an exact distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling.noise import NoiseSource
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.diffusion.sampling.schedules import with_zero
from tests.diffusion.sampling.exact import FLOW, NOISING, GaussianDenoiser

# Orders at which the error falls with the number of steps. A multistep method is held back by its first steps.
ORDERS = {
    "euler": 1,
    "euler_cfg_pp": 1,
    "euler_ancestral": 1,
    "euler_ancestral_cfg_pp": 1,
    "heun": 2,
    "heunpp2": 1,
    "dpm_2": 2,
    "dpm_2_ancestral": 2,
    "lms": 2,
    "dpm_fast": 2,
    "dpmpp_2s_ancestral": 2,
    "dpmpp_sde": 2,
    "dpmpp_2m": 2,
    "dpmpp_2m_cfg_pp": 2,
    "dpmpp_2m_sde": 2,
    "dpmpp_2m_sde_heun": 2,
    "dpmpp_3m_sde": 2,
    "ipndm": 2,
    "ipndm_v": 2,
    "deis": 2,
    "res_multistep": 2,
    "res_multistep_cfg_pp": 2,
    "res_multistep_ancestral": 2,
    "res_multistep_ancestral_cfg_pp": 2,
    "gradient_estimation": 1,
    "gradient_estimation_cfg_pp": 1,
    "er_sde": 2,
    "seeds_2": 2,
    "seeds_3": 3,
    "sa_solver": 2,
    "sa_solver_pece": 2,
    "ddim": 1,
    "uni_pc": 2,
    "uni_pc_bh2": 2,
}
# The stochastic ones with their noise turned off.
WITHOUT_NOISE: dict[str, dict[str, Any]] = {
    "er_sde": {"s_noise": 0.0, "noise_scale": lambda level: level},
    "sa_solver": {"tau": lambda sigma: 0.0},
    "sa_solver_pece": {"tau": lambda sigma: 0.0},
}
NOT_TO_CONVERGE = {
    "dpmpp_2s_ancestral_cfg_pp",  # renoises along the second evaluation's negative, as published, which no number of steps evens out
    "ddpm",  # noise cannot be turned off
    "lcm",
    "dpm_adaptive",  # sets its own steps; tested below
}
# Published formulas that take the levels of a flow model for those of added noise: not exact there.
NOT_EXACT_ON_FLOW = {"ddpm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp"}
STOCHASTIC = [
    name for name, sampler in SAMPLERS.items() if sampler.noise and not name.endswith("_gpu") and name != "dpmpp_2s_ancestral_cfg_pp"
]
FIRST_ORDER = {"euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "ddpm"}


def no_noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def even_steps(flow: bool, steps: int) -> Tensor:
    """Levels evenly spaced in log-SNR, float64, not down to 0."""
    if flow:
        return torch.linspace(3.0, -1.4, steps + 1, dtype=torch.float64).sigmoid()
    return torch.linspace(math.log(10.0), math.log(0.1), steps + 1, dtype=torch.float64).exp()


def error(name: str, denoiser: GaussianDenoiser, steps: int, **options: Any) -> float:
    sampler = SAMPLERS[name]
    sigmas = even_steps(denoiser.prediction.flow, steps)
    x = denoiser.draw(sigmas[0], (1, 1, 4, 4), seed=3)
    options = {**sampler.options, **options}
    if sampler.noise:
        options["noise"] = no_noise
    end = sampler.function(denoiser, x, sigmas, **options)
    return (end - denoiser.path(x, sigmas[0], sigmas[-1])).abs().max().item()


@pytest.mark.parametrize("denoiser", [NOISING, FLOW], ids=["noising", "flow"])
@pytest.mark.parametrize("name", ORDERS)
def test_the_path_converges_at_the_order_of_the_sampler(name: str, denoiser: GaussianDenoiser) -> None:
    sampler = SAMPLERS[name]
    options = WITHOUT_NOISE.get(name, {"eta": 0.0} if sampler.noise else {})
    coarse, fine = error(name, denoiser, 32, **options), error(name, denoiser, 128, **options)
    assert fine < 0.01
    assert math.log(coarse / fine, 4) > ORDERS[name] - 0.25


def test_every_sampler_is_tested_for_convergence_or_says_why_not() -> None:
    assert {name for name in SAMPLERS if not name.endswith("_gpu")} == {*ORDERS, *NOT_TO_CONVERGE}


@pytest.mark.parametrize("denoiser", [NOISING, FLOW], ids=["noising", "flow"])
def test_adaptive_steps_meet_their_tolerance(denoiser: GaussianDenoiser) -> None:
    assert error("dpm_adaptive", denoiser, 1) < 0.05
    assert error("dpm_adaptive", denoiser, 1, rtol=1e-4, atol=1e-5) < 1e-3
    assert error("dpm_adaptive", denoiser, 1, order=2, rtol=1e-4, atol=1e-5) < 1e-3


def moments(name: str, denoiser: GaussianDenoiser, steps: int, seeds: int = 4) -> tuple[float, float]:
    """Mean and deviation of what a sampler makes of pure samples of the noised data, over independent seeds and pixels."""
    sampler = SAMPLERS[name]
    flow = denoiser.prediction.flow
    levels = torch.linspace(4.5, -4.5, steps).sigmoid() if flow else torch.linspace(math.log(20.0), math.log(0.02), steps).exp()
    sigmas = with_zero(levels)
    make_noise: Callable[[Tensor, int, Tensor], NoiseSource] | None = sampler.noise
    assert make_noise is not None
    ends = []
    for seed in range(seeds):
        x = denoiser.draw(sigmas[0], (1, 1, 64, 64), seed).float()
        ends.append(sampler.function(denoiser, x, sigmas, noise=make_noise(x, 50 + seed, sigmas), **sampler.options))
    end = torch.cat(ends)
    return end.mean().item(), end.std().item()


@pytest.mark.parametrize("denoiser", [NOISING, FLOW], ids=["noising", "flow"])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_stochastic_sampler_draws_from_the_distribution_of_the_data(name: str, denoiser: GaussianDenoiser) -> None:
    if denoiser.prediction.flow and name in NOT_EXACT_ON_FLOW:
        assert abs(moments(name, denoiser, 30)[0] - denoiser.mean) > 0.1
        return
    if name == "lcm":
        denoiser = replace(denoiser, consistency=True)
    mean, deviation = moments(name, denoiser, 30)
    if name in FIRST_ORDER:
        # Their deviation is off in proportion to the step; two step sizes tell what it would be without steps.
        deviation = 2 * moments(name, denoiser, 60)[1] - deviation
    assert mean == pytest.approx(denoiser.mean, abs=0.02)
    assert deviation == pytest.approx(denoiser.deviation, rel=0.035)

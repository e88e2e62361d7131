"""Predictions: the formulas invert each other, and percentages, timesteps and levels agree."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.noise_levels import Continuous, ContinuousAngle, Cosine, Discrete, Flow, FluxFlow, flux_shift
from engine.diffusion.sampling.prediction import KINDS, Consistency, CosmosFlow, Epsilon, FlowVelocity, Preconditioned, Prediction, Velocity

CLEAN = torch.tensor([0.3, -1.2, 2.0])
NOISE = torch.tensor([-0.7, 0.4, 1.1])


@pytest.mark.parametrize("sigma", [0.05, 1.0, 9.0])
def test_each_formula_finds_the_clean_latent_from_what_its_network_should_say(sigma: float) -> None:
    s = torch.tensor(sigma)
    x = CLEAN + s * NOISE
    assert torch.allclose(Epsilon().denoised(NOISE, x, s), CLEAN, atol=1e-4)
    alpha = 1 / (1 + s**2).sqrt()
    assert torch.allclose(Velocity().denoised(alpha * NOISE - s * alpha * CLEAN, x, s), CLEAN, atol=1e-4)
    norm = (s**2 + 0.5**2).sqrt()
    target = (CLEAN - x * 0.5**2 / norm**2) * norm / (s * 0.5)
    assert torch.allclose(Preconditioned(0.5).denoised(target, x, s), CLEAN, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.999])
def test_flow_formulas(sigma: float) -> None:
    s = torch.tensor(sigma)
    flow = FlowVelocity()
    x = flow.add_noise(s, NOISE, CLEAN, all_noise=False)
    assert torch.allclose(flow.denoised(NOISE - CLEAN, x, s), CLEAN, atol=1e-5)
    handed_on = flow.finish(x, s)
    assert torch.allclose(flow.add_noise(s, torch.zeros(3), handed_on, all_noise=False), x, atol=1e-4)
    assert torch.allclose(CosmosFlow().denoised(NOISE - CLEAN, CLEAN + s * NOISE, s), CLEAN, atol=1e-5)


def test_a_consistency_model_returns_x_where_there_is_no_noise() -> None:
    s = torch.tensor(0.0)
    levels = Discrete(stride=1)
    assert torch.allclose(Consistency(levels=levels).denoised(NOISE, CLEAN, s), CLEAN)


@pytest.mark.parametrize("kind", KINDS)
def test_percentages_run_from_all_noise_to_none(kind: str) -> None:
    prediction = KINDS[kind]
    values = [prediction.percent_to_sigma(percent / 10) for percent in range(11)]
    assert values == sorted(values, reverse=True)
    assert values[0] >= prediction.sigma_max
    assert values[-1] == 0.0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("eps", [5.0924082, 1.6155803, 0.5711889]),
        ("flow_sd3", [0.9230769, 0.75, 0.4285714]),
        ("flow_flux", [0.9266473, 0.7595109, 0.4411997]),
    ],
)
def test_percentages_of_known_models(kind: str, expected: list[float]) -> None:
    assert [KINDS[kind].percent_to_sigma(percent) for percent in (0.2, 0.5, 0.8)] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "levels", [Discrete(), Continuous(), ContinuousAngle(0.002, 700.0), Cosine()], ids=lambda levels: type(levels).__name__
)
def test_the_timestep_of_a_level_leads_back_to_it(levels: Discrete) -> None:
    picked = levels.sigmas[[10, 400, 900]]
    assert torch.allclose(levels.sigma(levels.timestep(picked)), picked, rtol=2e-3)


def test_distilled_models_know_every_twentieth_level_only() -> None:
    levels = Discrete(stride=20)
    assert len(levels.sigmas) == 50
    assert levels.timestep(levels.sigmas).tolist() == [float(t) for t in range(19, 1000, 20)]
    assert levels.sigmas[-1] == Discrete().sigmas[-1]


def test_flux_shifts_with_the_number_of_pixels() -> None:
    assert flux_shift(256, 256) == pytest.approx(0.5)
    assert flux_shift(1024, 1024) == pytest.approx(1.15)
    assert FluxFlow().sigmas[0] == pytest.approx(0.00031575, rel=1e-4)
    assert Flow(shift=1.0, multiplier=1.0).sigmas[499] == pytest.approx(0.5)


def test_the_highest_level_stands_for_the_whole_noised_latent() -> None:
    prediction = KINDS["eps"]
    top, lower = prediction.levels.sigmas[-1], prediction.levels.sigmas[-2]
    nothing = torch.zeros(3)
    assert torch.allclose(prediction.start(top, NOISE, nothing), NOISE * 14.648813, rtol=1e-5)
    assert torch.allclose(prediction.start(lower, NOISE, nothing), NOISE * lower)


@pytest.mark.parametrize("kind", ["eps", "flow_sd3"])
def test_log_snr_and_level_are_inverse(kind: str) -> None:
    prediction: Prediction = KINDS[kind]
    levels = prediction.levels.sigmas[[5, 500, 990]]
    assert torch.allclose(prediction.sigma_of_log_snr(prediction.log_snr(levels)), levels, rtol=1e-4)


@pytest.mark.parametrize(
    "latent_format", [LatentFormat(), LatentFormat(16, 1.5305, 0.0609), LatentFormat(4, (1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3, 0.4))]
)
def test_latent_scaling_is_undone_exactly(latent_format: LatentFormat) -> None:
    samples = torch.randn(2, latent_format.channels, 3, 5, generator=torch.Generator().manual_seed(0))
    inside = latent_format.process_in(samples)
    assert not torch.allclose(inside, samples)
    assert torch.allclose(latent_format.process_out(inside), samples, atol=1e-5)


def test_latent_scaling_per_channel() -> None:
    scaled = LatentFormat(2, (2.0, 10.0), (1.0, 0.0)).process_in(torch.ones(1, 2, 1, 1))
    assert scaled.flatten().tolist() == [0.0, 10.0]

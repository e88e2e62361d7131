"""Targets, weights, losses and noise against diffusers, published figures and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_dream_and_update_latents, compute_loss_weighting_for_sd3, compute_snr

from engine.diffusion.sampling.noise_levels import scaled_linear_alphas
from engine.diffusion.sampling.prediction import KINDS
from engine.diffusion.training.objectives import draw_noise, draw_times, flow_weight, huber_c, snr_weight, task
from engine.errors import InvalidInput
from engine.values.training import Objective

STEPS = [0, 100, 250, 500, 750, 999]
SCHEDULER = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
SNR = compute_snr(SCHEDULER, torch.tensor(STEPS))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 4, 8, 8, generator=generator(5))


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_noised_latents_and_targets_are_diffusers(kind):
    clean, steps = latents(6), torch.tensor(STEPS)
    noised = task(Objective(), KINDS[kind]).noised(clean, generator(1), (steps + 0.5) / 1000)
    noise = torch.randn(clean.shape, generator=generator(1))
    assert torch.equal(noised.told, steps.float())
    assert torch.allclose(noised.x, SCHEDULER.add_noise(clean, noise, steps), atol=1e-5)
    target = SCHEDULER.get_velocity(clean, noise, steps) if kind == "v" else noise
    assert torch.allclose(noised.target, target, atol=1e-5)


def test_a_perfect_flow_prediction_leads_back_to_the_latent():
    clean = latents()
    prediction = KINDS["flow_sd3"]
    noised = task(Objective(), prediction).noised(clean, generator(1), torch.tensor([0.1, 0.4, 0.7, 0.95]))
    sigma = (1 - noised.signal).view(-1, 1, 1, 1)
    assert torch.allclose(noised.x - sigma * noised.target, clean, atol=1e-5)
    share = torch.tensor([0.1, 0.4, 0.7, 0.95])
    assert torch.allclose(1 - noised.signal, 3 * share / (1 + 2 * share))
    assert torch.allclose(noised.told, (1 - noised.signal) * 1000)


@pytest.mark.parametrize(
    ("weighting", "velocity", "figures"),
    [
        ("min_snr", False, [0.0043, 0.591, 1, 1, 1, 1]),
        ("min_snr", True, [0.0043, 0.529, 0.674, 0.276, 0.056, 0.0047]),
        ("debiased", False, [0.0316, 0.344, 0.696, 1.62, 4.10, 14.6]),
    ],
)
def test_weights_by_signal_to_noise_are_the_published_figures(weighting, velocity, figures):
    found = snr_weight(weighting, 5.0, SNR, velocity=velocity)
    assert torch.allclose(found, torch.tensor(figures), rtol=0.01, atol=5e-5)


def test_soft_min_snr_stays_below_min_snr_and_meets_it_at_both_ends():
    hard, soft = (snr_weight(name, 5.0, SNR, velocity=False) for name in ("min_snr", "soft_min_snr"))
    assert (soft < hard).all()
    assert torch.allclose(soft[[0, -1]], hard[[0, -1]], rtol=0.005)


def test_flow_weights_are_diffusers():
    sigma = torch.tensor([0.1, 0.5, 0.9])
    for name in ("sigma_sqrt", "cosmap"):
        assert torch.allclose(flow_weight(name, sigma), compute_loss_weighting_for_sd3(name, sigma))


def test_the_weight_of_a_flow_without_noise_is_bounded():
    assert flow_weight("sigma_sqrt", torch.tensor([0.0, 1e-5, 1e-3])).tolist() == pytest.approx([1e6] * 3)


def test_zero_terminal_snr_sees_pure_noise_at_the_last_timestep():
    alphas = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", rescale_betas_zero_snr=True).alphas_cumprod
    job = task(Objective(zero_terminal_snr=True), KINDS["v"])
    noised = job.noised(latents(2), generator(), torch.tensor([0.4005, 0.9995]))
    assert torch.allclose(noised.signal, alphas[[400, 999]], atol=1e-6)
    assert torch.isfinite(job.losses(torch.zeros_like(noised.target), noised)).all()


def test_a_share_of_v_loss_is_the_loss_on_the_v_that_the_predicted_noise_means():
    plain, shared = (task(Objective(v_like_share=share), KINDS["eps"]) for share in (0.0, 0.3))
    clean, output = latents(4), torch.randn(4, 4, 8, 8, generator=generator(9))
    noised = plain.noised(clean, generator(1), torch.tensor([0.1, 0.25, 0.5, 0.99]))
    data, share = (part.sqrt().view(-1, 1, 1, 1) for part in (noised.signal, 1 - noised.signal))
    meant = data * output - share * (noised.x - share * output) / data
    on_v = (meant - (data * noised.target - share * clean)).square().mean(dim=(1, 2, 3))
    assert torch.allclose(shared.losses(output, noised), plain.losses(output, noised) + 0.3 * on_v, rtol=1e-3)


@pytest.mark.parametrize("kind", ["v", "flow_sd3"])
def test_a_share_of_v_loss_is_refused_where_noise_is_not_predicted(kind):
    with pytest.raises(InvalidInput, match="v_like_share"):
        task(Objective(v_like_share=0.1), KINDS[kind])


def test_no_timestep_outside_the_chosen_part_is_drawn():
    for name in ("uniform", "logit_normal", "mode"):
        settings = Objective(first_timestep=300, last_timestep=500, timesteps=name, sampler_std=10 if name == "logit_normal" else 1)
        told = task(settings, KINDS["eps"]).noised(latents(4096), generator()).told
        assert told.min() == 300 and told.max() == 499, name


@pytest.mark.parametrize("loss", ["huber", "smooth_l1"])
def test_pseudo_huber_has_its_limits(loss):
    """Far below c it is a square, far above a line."""
    clean = latents(1)
    for c, limit in ((1e-4, lambda d: 2 * d.abs() * (1e-4 if loss == "huber" else 1)), (1.0, lambda d: d**2)):
        size = 1e3 if c < 1 else 1e-3
        settings = Objective(loss=loss, huber_schedule="constant", huber_c=c)
        job = task(settings, KINDS["eps"])
        noised = job.noised(clean, generator(), torch.tensor([0.5]))
        difference = size * torch.randn(clean.shape, generator=generator(7), dtype=torch.float64)
        noised = noised._replace(target=noised.target.double())
        found = job._elementwise(noised.target + difference, noised)
        assert torch.allclose(found, limit(difference), rtol=0.02 if c < 1 else 0.01)


def test_the_schedules_of_huber_s_bend():
    time, signal = torch.tensor([0.0, 0.5]), scaled_linear_alphas()[[0, 500]].float()
    exponential = huber_c(Objective(loss="huber", huber_schedule="exponential"), time, signal)
    assert torch.allclose(exponential, torch.tensor([1.0, math.exp(-2.302585 / 2)]))
    sigma = ((1 - signal) / signal).sqrt()
    assert torch.allclose(huber_c(Objective(loss="huber"), time, signal), 0.9 / (1 + sigma) ** 2 + 0.1)


def test_nothing_outside_the_mask_has_a_gradient():
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., :4] = 1
    for scale in ("none", "area"):
        job = task(Objective(mask_scale=scale), KINDS["eps"])
        noised = job.noised(latents(2), generator())
        output = torch.zeros(2, 4, 8, 8, requires_grad=True)
        job.losses(output, noised, mask).sum().backward()
        assert (output.grad[..., 4:] == 0).all() and (output.grad[..., :4] != 0).all()


def test_the_area_scale_lets_a_small_mask_count_as_much_as_a_whole_picture():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :2, :2] = 1
    job = task(Objective(mask_scale="area"), KINDS["eps"])
    noised = job.noised(latents(1), generator())
    output = noised.target + 3.0
    assert torch.allclose(job.losses(output, noised, mask), torch.tensor([9.0]))
    assert torch.allclose(task(Objective(), KINDS["eps"]).losses(output, noised, mask), torch.tensor([9.0 * 4 / 64]))
    half = task(Objective(unmasked_weight=0.5), KINDS["eps"]).losses(output, noised, mask)
    assert torch.allclose(half, torch.tensor([9.0 * (4 + 30) / 64]))


def test_a_noise_offset_moves_whole_channels():
    plain, shifted = (draw_noise(Objective(noise_offset=offset), latents(1000), generator(2)) for offset in (0.0, 0.5))
    moved = shifted - plain
    assert moved.flatten(2).std(dim=2).max() < 1e-5
    assert moved[..., 0, 0].std().item() == pytest.approx(0.5, rel=0.1)
    random = draw_noise(Objective(noise_offset=0.5, noise_offset_random=True), latents(1000), generator(2))
    assert random.mean(dim=(2, 3)).std() < shifted.mean(dim=(2, 3)).std()


def test_the_adaptive_offset_follows_the_channel_s_mean():
    settings = Objective(noise_offset=0.1, adaptive_noise_scale=0.5)
    bright = torch.full((1000, 4, 8, 8), 2.0)
    moved = draw_noise(settings, bright, generator(2)) - draw_noise(Objective(), bright, generator(2))
    assert moved[..., 0, 0].std().item() == pytest.approx(0.1 + 0.5 * 2.0, rel=0.1)


def test_multires_noise_has_unit_deviation_and_more_low_frequencies():
    plain = draw_noise(Objective(), torch.zeros(8, 4, 32, 32), generator(3))
    coarse = draw_noise(Objective(multires_iterations=6, multires_discount=0.8), torch.zeros(8, 4, 32, 32), generator(3))
    assert coarse.std().item() == pytest.approx(1, abs=1e-3)
    pooled = [torch.nn.functional.avg_pool2d(noise, 8).std().item() for noise in (plain, coarse)]
    assert pooled[1] > 3 * pooled[0]


def test_input_noise_is_in_what_the_network_sees_and_not_in_the_target():
    plain = task(Objective(), KINDS["eps"]).noised(latents(), generator(4), torch.full((4,), 0.5))
    more = task(Objective(input_noise=0.1), KINDS["eps"]).noised(latents(), generator(4), torch.full((4,), 0.5))
    assert torch.equal(plain.target, more.target)
    share = (1 - plain.signal[0]).sqrt()
    assert ((more.x - plain.x) / share).std().item() == pytest.approx(0.1, rel=0.1)


def test_timesteps_stay_in_their_range_and_strata_are_even():
    prediction = KINDS["eps"]
    settings = Objective(first_timestep=200, last_timestep=700)
    drawn = draw_times(settings, prediction, 5000, generator())
    assert drawn.min() >= 0.2 and drawn.max() < 0.7
    assert drawn.mean().item() == pytest.approx(0.45, abs=0.01)
    strata = draw_times(Objective(stratified=True), prediction, 8, generator())
    assert sorted((strata * 8).long().tolist()) == list(range(8))
    assert (draw_times(Objective(timesteps="logit_normal"), prediction, 5000, generator()) - 0.5).abs().mean() < 0.2
    modes = draw_times(Objective(timesteps="mode"), prediction, 20000, generator())
    assert modes.min() >= 0 and modes.max() < 1
    sigmas = KINDS["eps"].levels.sigmas
    log_normal = draw_times(Objective(timesteps="log_sigma", sampler_mean=-0.5, sampler_std=0.7), prediction, 5000, generator())
    assert sigmas[(log_normal * 1000).long()].log().mean().item() == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("eps", {"zero_terminal_snr": True}, "zero_terminal_snr"),
        ("eps", {"v_loss_like_noise": True}, "v_loss_like_noise"),
        ("eps", {"shift": 3.0}, "shift"),
        ("eps", {"weighting": "cosmap"}, "weighting"),
        ("eps", {"gamma": 7.0}, "gamma"),
        ("eps", {"huber_c": 0.2}, "huber_c"),
        ("eps", {"adaptive_noise_scale": 0.1}, "adaptive_noise_scale"),
        ("eps", {"multires_iterations": 6, "noise_offset": 0.1}, "noise_offset"),
        ("eps", {"multires_discount": 0.5}, "multires_discount"),
        ("eps", {"sampler_mean": 1.0}, "sampler_mean"),
        ("eps", {"input_noise_random": True}, "input_noise_random"),
        ("eps", {"first_timestep": 500, "last_timestep": 500}, "first_timestep"),
        ("flow_sd3", {"weighting": "min_snr"}, "weighting"),
        ("flow_sd3", {"first_timestep": 100}, "first_timestep"),
        ("flow_sd3", {"loss": "huber"}, "huber_schedule"),
        ("edm", {}, "cannot be trained"),
    ],
)
def test_a_setting_without_effect_is_refused_by_name(kind, settings, named):
    with pytest.raises(InvalidInput, match=named):
        task(Objective(**settings), KINDS[kind])


def test_levels_that_no_model_was_trained_on_are_refused():
    prediction = replace(KINDS["eps"], levels=KINDS["flow_sd3"].levels)
    with pytest.raises(InvalidInput, match="noise levels"):
        task(Objective(), prediction).noised(latents(), generator())


@pytest.mark.parametrize("detail", [1.0, 3.0])
def test_dream_is_that_of_diffusers(detail):
    scheduler = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    job = task(Objective(dream=detail), KINDS["eps"])
    noised = job.noised(latents(3), generator())
    prediction = torch.randn(noised.x.shape, generator=torch.Generator().manual_seed(8))

    class Unet:
        def __call__(self, *arguments: object, **named: object) -> SimpleNamespace:
            return SimpleNamespace(sample=prediction)

    x, target = compute_dream_and_update_latents(
        Unet(), scheduler, noised.told.long(), noised.target, noised.x, noised.target, None, dream_detail_preservation=detail
    )
    found = job.dreamt(noised, prediction)
    torch.testing.assert_close(found.x, x)
    torch.testing.assert_close(found.target, target)
    with pytest.raises(InvalidInput, match="dream"):
        task(Objective(dream=1.0), KINDS["v"])

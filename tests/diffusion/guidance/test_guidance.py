"""Guidance methods: what their papers promise. Their numbers are compared in tests/reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.guidance.cfg import (
    TCFG,
    AdaptiveProjectedGuidance,
    CFGNorm,
    CFGZeroStar,
    EpsilonScaling,
    FreSca,
    Mahiro,
    RenormCFG,
    RescaleCFG,
)
from engine.diffusion.guidance.differential import DifferentialDiffusion
from engine.diffusion.guidance.guiders import DualCFG, PerpNeg, PerpNegGuider, perpendicular
from engine.diffusion.guidance.latent_operations import OperationOnGuidance, Sharpen, ToneMap, sharpening_kernel
from engine.diffusion.sampling.guidance import CFG, GuidanceOptions, Step, classifier_free, guided
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.prediction import prediction_of
from engine.diffusion.sampling.sample import sample_custom
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.diffusion.sampling.schedules import schedule
from engine.values.conditioning import Conditioning
from engine.values.latent import Latent
from tests.diffusion.sampling.toys import Recorder, empty, picture, prompt, toy_model


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or (2, 4, 8, 8)), generator=torch.Generator().manual_seed(seed))


def step(scale: float = 5.0, **changes: Any) -> Step:
    fields: dict[str, Any] = {
        "x": random(1) * 3,
        "sigma": torch.tensor(2.0),
        "scale": scale,
        "cond": random(2),
        "uncond": random(3),
        "prediction": prediction_of("eps"),
        "sigmas": torch.tensor([2.0, 0.0]),
        "predict": lambda conditioning, x=None: random(4),
        "memory": {},
    }
    return Step(**{**fields, **changes})


def denoised(options: GuidanceOptions, at: Step | None = None) -> Tensor:
    return guided(at or step(), options).denoised


PLAIN = classifier_free(step())


@pytest.mark.parametrize(
    "options",
    [
        GuidanceOptions(combine=RescaleCFG(0.0)),
        GuidanceOptions(after=(EpsilonScaling(1.0),)),
        GuidanceOptions(before=(FreSca(1.0, 1.0, 2),)),
        GuidanceOptions(before=(OperationOnGuidance(Sharpen(2, 1.0, 0.0)),)),
    ],
    ids=["rescale", "epsilon", "frequencies", "sharpen"],
)
def test_a_method_turned_down_to_nothing_is_plain_guidance(options: GuidanceOptions) -> None:
    assert torch.allclose(denoised(options), PLAIN, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        GuidanceOptions(combine=RescaleCFG()),
        GuidanceOptions(combine=RenormCFG()),
        GuidanceOptions(combine=PerpNeg(Conditioning())),
        GuidanceOptions(after=(CFGZeroStar(), Mahiro())),
        GuidanceOptions(before=(TCFG(), AdaptiveProjectedGuidance(momentum=0.5), FreSca())),
    ],
    ids=["rescale", "renorm", "perp-neg", "after", "before"],
)
def test_without_a_negative_there_is_nothing_to_change(options: GuidanceOptions) -> None:
    one_sided = step(scale=1.0, uncond=None)
    assert torch.equal(denoised(options, one_sided), one_sided.cond)


def test_rescaling_gives_the_velocity_the_spread_of_the_positive_side() -> None:
    at = step()
    norm = (at.sigma**2 + 1).sqrt()

    def spread(prediction: Tensor) -> Tensor:
        return ((at.x / (at.sigma**2 + 1) - prediction) * norm / at.sigma).std(dim=(1, 2, 3))

    assert torch.allclose(spread(denoised(GuidanceOptions(combine=RescaleCFG(1.0)))), spread(at.cond), rtol=1e-4)
    assert (spread(PLAIN) > 1.5 * spread(at.cond)).all()


def test_renormalized_guidance_is_shortened_to_the_length_of_the_positive_side_image_by_image() -> None:
    """Lumina-Image 2.0, section 3.4: G min(1, m |C| / |G|), the norm over a whole image."""
    at = step(scale=1.5)
    at = at.with_sides(at.cond, torch.cat([at.uncond[:1], at.cond[1:] * 0.9]))  # in the second image guidance adds little to C
    mixed, lengths = classifier_free(at), at.cond.flatten(1).norm(dim=1)
    for most in (0.5, 1.0, 1.2):
        shares = (most * lengths / mixed.flatten(1).norm(dim=1)).clamp(max=1.0)
        wanted = mixed * shares.view(2, 1, 1, 1)
        torch.testing.assert_close(denoised(GuidanceOptions(combine=RenormCFG(1000.0, most)), at), wanted)
    assert shares[0] < 1.0 == shares[1]
    assert denoised(GuidanceOptions(combine=RenormCFG(1000.0, 0.0)), at).equal(mixed)


def test_renormalized_guidance_is_in_force_at_levels_below_its_end() -> None:
    assert denoised(GuidanceOptions(combine=RenormCFG(2.0, 0.0))).equal(step().cond)
    assert denoised(GuidanceOptions(combine=RenormCFG(2.01, 0.0))).equal(PLAIN)


def test_cfg_zero_star_scales_the_negative_by_its_best_fit() -> None:
    """Noise predictions equal up to a factor of two: the negative counts twice."""
    x, noise = random(1), random(5)
    at = step(x=x, cond=x - 2.0 * noise, uncond=x - noise)
    doubled = replace(at, uncond=2.0 * (x - noise))
    assert torch.allclose(denoised(GuidanceOptions(after=(CFGZeroStar(),)), at), classifier_free(doubled), atol=1e-4)


def test_norm_limited_guidance_is_never_longer_than_the_positive_side() -> None:
    lengths = denoised(GuidanceOptions(after=(CFGNorm(),))).norm(dim=1)
    assert (lengths <= step().cond.norm(dim=1) * 1.0001).all()


def test_tangential_damping_leaves_one_direction_of_the_negative() -> None:
    at = step()
    damped = TCFG()(at).uncond
    assert damped is not None
    stacked = torch.stack([(at.x - damped).flatten(1), (at.x - at.uncond).flatten(1), (at.x - at.cond).flatten(1)], dim=1)
    main = torch.linalg.svd(stacked[:, 1:], full_matrices=False).Vh[:, 0]
    kept = stacked[:, 0]
    assert torch.allclose(kept, (kept * main).sum(1, keepdim=True) * main, atol=1e-4)


def test_mahiro_leaves_agreeing_sides_alone_and_leaps_from_opposed_ones() -> None:
    same = step(uncond=random(2))
    assert torch.allclose(denoised(GuidanceOptions(after=(Mahiro(),)), same), same.cond, atol=1e-4)
    opposed = step(uncond=-random(2))
    leap = opposed.cond * opposed.scale
    assert torch.allclose(denoised(GuidanceOptions(after=(Mahiro(),)), opposed), leap, atol=0.5)


def projection_of(guidance: Tensor, onto: Tensor) -> Tensor:
    dims = (1, 2, 3)
    return (guidance * onto).sum(dim=dims) / (onto * onto).sum(dim=dims)


def test_projected_guidance_loses_what_lies_along_the_positive_side() -> None:
    at = step()
    changed = AdaptiveProjectedGuidance(eta=0.0, norm_threshold=0.0)(at)
    assert at.uncond is not None
    guidance = changed.cond - at.uncond - (at.cond - at.uncond) / at.scale
    assert projection_of(guidance, at.cond).abs().max() < 1e-4
    assert guidance.norm() > 1.0


def test_projected_guidance_is_limited_in_length() -> None:
    at = step()
    changed = AdaptiveProjectedGuidance(eta=1.0, norm_threshold=3.0)(at)
    assert at.uncond is not None
    guidance = changed.cond - at.uncond - (at.cond - at.uncond) / at.scale
    assert guidance.flatten(1).norm(dim=1).tolist() == pytest.approx([3.0, 3.0], rel=1e-4)


def test_momentum_lives_in_the_run_and_starts_anew_when_the_level_rises() -> None:
    method = AdaptiveProjectedGuidance(eta=1.0, norm_threshold=0.0, momentum=-0.5)
    memory: dict[Any, Any] = {}
    first = method(step(memory=memory))
    second = method(step(memory=memory, sigma=torch.tensor(1.0)))
    anew = method(step(memory=memory, sigma=torch.tensor(5.0)))
    another_run = method(step())
    assert not torch.allclose(first.cond, second.cond)
    assert torch.allclose(first.cond, anew.cond)
    assert torch.allclose(first.cond, another_run.cond)


def test_frequencies_are_scaled_apart() -> None:
    flat = torch.ones(2, 4, 8, 8)
    board = torch.ones(8, 8)
    board[::2, ::2] = board[1::2, 1::2] = -1.0
    uncond = random(3)
    at = step(cond=uncond + flat + board, uncond=uncond)
    changed = FreSca(scale_low=0.5, scale_high=3.0, freq_cutoff=2)(at)
    assert torch.allclose(changed.cond - uncond, 0.5 * flat + 3.0 * board, atol=1e-4)


def test_epsilon_scaling_divides_the_predicted_noise() -> None:
    at = step()
    assert torch.allclose(at.x - denoised(GuidanceOptions(after=(EpsilonScaling(2.0),))), (at.x - PLAIN) / 2, atol=1e-5)


def test_a_negative_prompt_cannot_undo_the_positive_one() -> None:
    nothing = torch.zeros(1, 4, 8, 8)
    positive = random(1, 1, 4, 8, 8)
    along = perpendicular(positive, 0.8 * positive, nothing, 5.0, 1.0)
    assert torch.allclose(along, 5.0 * positive, atol=1e-4)
    across = random(2, 1, 4, 8, 8)
    across = across - (across * positive).sum() / positive.norm() ** 2 * positive
    assert torch.allclose(perpendicular(positive, across, nothing, 5.0, 0.5), 5.0 * (positive - 0.5 * across), atol=1e-4)


def run(guider: Any, options: GuidanceOptions | None = None, network: Any = None, latent: Latent | None = None) -> Tensor:
    model = replace(toy_model(network), options=options or GuidanceOptions())
    sigmas = schedule("karras", model.prediction, 5)
    return sample_custom(model, guider, SAMPLERS["euler"], sigmas, latent or empty(), noise=Noise(2)).output.samples


def test_perp_neg_is_the_same_as_a_guider_and_as_a_property_of_the_model() -> None:
    sides = (prompt(1.0), prompt(-1.0))
    guider = run(PerpNegGuider(*sides, prompt(0.2), 4.0, 0.7))
    hung = run(CFG(*sides, 4.0), GuidanceOptions(combine=PerpNeg(prompt(0.2), 0.7)))
    assert torch.allclose(guider, hung, atol=1e-4)
    assert not torch.allclose(guider, run(CFG(*sides, 4.0)), atol=1e-2)


def test_three_prompts_share_one_call() -> None:
    network = Recorder()
    run(DualCFG(prompt(1.0), prompt(2.0), prompt(-1.0), 3.0, 2.0), network=network)
    assert [len(x) for x in network.inputs] == [3] * 5


def test_dual_guidance_falls_back_to_plain_guidance() -> None:
    first, second, negative = prompt(1.0), prompt(2.0), prompt(-1.0)
    plain = run(CFG(second, negative, 3.0))
    assert torch.allclose(run(DualCFG(first, second, negative, 0.0, 3.0)), plain, atol=1e-5)
    assert torch.allclose(run(DualCFG(first, second, negative, 0.0, 3.0, "nested")), plain, atol=1e-5)
    assert torch.allclose(run(DualCFG(first, second, negative, 1.0, 1.0)), run(CFG(first)), atol=1e-4)


def test_a_mask_of_shades_decides_when_each_pixel_may_change() -> None:
    sigmas = schedule("normal", prediction_of("eps"), 10)
    mask = torch.linspace(0, 1, 5).view(1, 1, 1, 5)
    method = DifferentialDiffusion()
    shares = [method(mask, sigma, sigmas, prediction_of("eps")).sum().item() for sigma in sigmas[:-1]]
    assert shares[0] == 1.0
    assert shares == sorted(shares)
    assert shares[-1] == 5.0
    half = DifferentialDiffusion(0.5)(mask, sigmas[0], sigmas, prediction_of("eps"))
    assert half.flatten().tolist() == pytest.approx([0.0, 0.125, 0.25, 0.375, 1.0])


def test_differential_masks_of_one_shade_are_plain_runs() -> None:
    start = picture()
    options = GuidanceOptions(mask=DifferentialDiffusion())
    full = Latent(start.samples, noise_mask=torch.ones(1, 1, 8, 8))
    assert torch.allclose(run(CFG(prompt(1.0)), options, latent=full), run(CFG(prompt(1.0)), latent=start), atol=1e-5)


def test_tone_mapping_shortens_long_vectors_and_keeps_directions() -> None:
    latent = random(1)
    latent[0, :, 3, 3] *= 50
    mapped = ToneMap(1.0)(latent)
    before, after = latent.norm(dim=1), mapped.norm(dim=1)
    assert after[0, 3, 3] < 0.5 * before[0, 3, 3]
    assert torch.allclose(mapped / after[:, None], latent / before[:, None], atol=1e-4)


def test_sharpening_keeps_flat_latents_and_widens_contrast() -> None:
    assert sharpening_kernel(3, 1.0, 0.5).sum().item() == pytest.approx(1.0, abs=1e-5)
    flat = torch.ones(1, 4, 16, 16)
    assert torch.allclose(Sharpen(3, 1.0, 0.5)(flat), flat, atol=1e-4)
    edge = flat.clone()
    edge[..., 8:] = -1.0
    sharp = Sharpen(3, 1.0, 0.5)(edge)
    assert sharp[0, 0, 8, 7] > 1.2
    assert sharp[0, 0, 8, 8] < -1.2


def test_options_add_up_and_leave_the_ones_they_came_from() -> None:
    base = GuidanceOptions()
    more: Callable[..., GuidanceOptions] = base.adding(after=EpsilonScaling(1.1)).adding
    both = more(after=CFGNorm(), before=TCFG(), keep_uncond=True)
    assert (len(base.after), len(both.after), len(both.before), both.keep_uncond) == (0, 2, 1, True)

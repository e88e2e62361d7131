"""A whole run: what comes out, what it costs, and what it says when it cannot be done."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling.guidance import CFG
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.sample import sample, sample_custom
from engine.diffusion.sampling.samplers import SAMPLER_NAMES, SAMPLERS, dpm_solver
from engine.errors import Cancelled, EaselError, InvalidInput, NodeFailed
from engine.values.latent import Latent
from tests.diffusion.sampling.toys import Recorder, empty, picture, prompt, toy_model

RUN: dict[str, Any] = {"seed": 1, "steps": 4, "cfg": 5.0, "sampler_name": "euler", "scheduler": "karras"}


def draw(latent: Latent, network: Any = None, kind: str = "eps", **changes: Any) -> Latent:
    return sample(toy_model(network, kind), prompt(1.0), prompt(-1.0), latent, **{**RUN, **changes})


@pytest.mark.parametrize("kind", ["eps", "flow_sd3"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_sampler_draws_in_very_few_steps(name: str, steps: int, kind: str) -> None:
    channels = 16 if kind.startswith("flow") else 4
    drawn = draw(empty(channels=channels), kind=kind, sampler_name=name, steps=steps, scheduler="normal")
    assert drawn.samples.shape == (1, channels, 8, 8)
    assert drawn.samples.dtype == torch.float32
    assert drawn.samples.std() > 0


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    assert torch.equal(draw(empty()).samples, draw(empty()).samples)
    assert not torch.allclose(draw(empty()).samples, draw(empty(), seed=2).samples)


def test_ten_thousand_steps_go_through() -> None:
    steps: list[int] = []
    draw(empty(2, 2), steps=10_000, callback=lambda step, total, x, denoised: steps.append(step))
    assert steps[-1] == 10_000


def test_guidance_scale_one_runs_half_the_work() -> None:
    guided, plain = Recorder(), Recorder()
    draw(empty(), guided)
    draw(empty(), plain, cfg=1.0)
    assert [len(x) for x in guided.inputs] == [2] * 4
    assert [len(x) for x in plain.inputs] == [1] * 4


def test_samplers_that_read_the_negative_get_it_at_scale_one_too() -> None:
    network = Recorder()
    draw(empty(), network, cfg=1.0, sampler_name="euler_cfg_pp")
    assert [len(x) for x in network.inputs] == [2] * 4


def test_progress_counts_the_steps_and_shows_each() -> None:
    seen: list[tuple[int, int, Tensor, Tensor]] = []
    draw(empty(batch=2), callback=lambda *report: seen.append(report))
    assert [report[:2] for report in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(report[2].shape == report[3].shape == (2, 4, 8, 8) for report in seen)


def test_an_error_in_the_callback_ends_the_run_at_that_step() -> None:
    network = Recorder()

    def stop_at_two(step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        if step == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        draw(empty(), network, callback=stop_at_two)
    assert len(network.inputs) == 2


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2", "dpmpp_2m"])
def test_two_halves_make_the_whole(name: str) -> None:
    """Cut after step 4 with the noise left in, then continued without new noise. A multistep method restarts its history."""
    run = {"steps": 8, "scheduler": "normal", "sampler_name": name}
    whole = draw(picture(), **run).samples
    first = draw(picture(), **run, start_at_step=0, end_at_step=4, leftover_noise=True)
    second = draw(first, **run, start_at_step=4, end_at_step=10_000, add_noise=False).samples
    difference = (second - whole).abs().max() / whole.abs().max()
    assert difference < (0.2 if name == "dpmpp_2m" else 1e-5)


def test_two_halves_make_the_whole_for_flow_models() -> None:
    run = {"steps": 8, "scheduler": "simple", "kind": "flow_sd3"}
    start = Latent(torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1)))
    first = draw(start, **run, end_at_step=4, leftover_noise=True)
    second = draw(first, **run, start_at_step=4, add_noise=False).samples
    assert torch.allclose(second, draw(start, **run).samples, atol=1e-4)


def test_a_run_cut_short_without_leftover_noise_ends_clean() -> None:
    shown: list[Tensor] = []
    clean = draw(empty(), steps=10, end_at_step=5, callback=lambda step, total, x, denoised: shown.append(denoised)).samples
    noisy = draw(empty(), steps=10, end_at_step=5, leftover_noise=True).samples
    assert torch.allclose(clean, shown[-1] / 0.18215, rtol=1e-4, atol=1e-4)
    assert (noisy - clean).std() > 0.5


def test_little_denoise_stays_near_the_picture_and_none_returns_it() -> None:
    start = picture()

    def distance(denoise: float) -> float:
        return (draw(start, denoise=denoise).samples - start.samples).abs().mean().item()

    assert distance(0.0) == 0.0
    assert 0.0 < distance(0.1) < distance(0.5) < distance(1.0)


def test_a_range_that_starts_behind_the_end_returns_the_latent() -> None:
    start = picture()
    assert torch.equal(draw(start, start_at_step=4).samples, start.samples)


def test_a_mask_keeps_what_it_does_not_cover() -> None:
    start = picture()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1.0
    drawn = draw(Latent(start.samples, noise_mask=mask), steps=8).samples
    assert torch.allclose(drawn[..., :4], start.samples[..., :4], atol=1e-5)
    assert (drawn[..., 4:] - start.samples[..., 4:]).abs().mean() > 0.3


def test_masks_of_another_count_and_size_are_repeated_and_resized() -> None:
    masks = torch.stack([torch.zeros(1, 5, 7), torch.ones(1, 5, 7)])
    start = picture(batch=3)
    drawn = draw(Latent(start.samples, noise_mask=masks)).samples
    kept = [torch.allclose(one, other, atol=1e-5) for one, other in zip(drawn, start.samples, strict=True)]
    assert kept == [True, False, True]


def test_the_latent_keeps_its_other_fields() -> None:
    mask = torch.ones(1, 1, 8, 8)
    drawn = draw(empty(batch=2, noise_mask=mask, batch_index=(3, 0)))
    assert drawn.noise_mask is mask
    assert drawn.batch_index == (3, 0)


def test_one_image_of_a_batch_is_drawn_again_by_its_index() -> None:
    batch = draw(empty(batch=3)).samples
    again = draw(empty(batch_index=(2,))).samples
    assert torch.allclose(again[0], batch[2], atol=1e-6)


def test_an_empty_latent_of_other_channels_fits_the_model() -> None:
    assert draw(empty(channels=4), kind="flow_sd3").samples.shape == (1, 16, 8, 8)
    assert draw(empty(channels=16)).samples.shape == (1, 4, 8, 8)


def test_sizes_that_are_not_multiples_of_anything_work() -> None:
    assert draw(empty(5, 13)).samples.shape == (1, 4, 5, 13)


def test_neither_inputs_nor_global_random_state_are_touched() -> None:
    start = picture()
    before, state = start.samples.clone(), torch.random.get_rng_state()
    for name in ("euler_ancestral", "dpmpp_2m_sde", "heunpp2", "uni_pc"):
        draw(start, sampler_name=name)
    assert torch.equal(start.samples, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler_name": "eular"}, "eular"),
        ({"scheduler": "karas"}, "karas"),
        ({"scheduler": "kl_optimal", "steps": 1}, "schedule"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        draw(empty(), **changes)
    assert caught.value.hint


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_latent_that_is_not_finite_is_refused(value: float) -> None:
    start = picture().samples.clone()
    start[0, 0, 0, 0] = value
    with pytest.raises(InvalidInput, match="not finite"):
        draw(Latent(start))


def test_a_network_that_overflows_is_an_error_and_no_black_picture() -> None:
    with pytest.raises(NodeFailed, match="not finite"):
        draw(empty(), lambda x, timestep, context: x * float("inf"))


def test_custom_runs_give_the_last_denoised_latent_too() -> None:
    model, guider = toy_model(), CFG(prompt(1.0), prompt(-1.0), 3.0)
    sigmas = torch.tensor([10.0, 5.0, 2.0])
    output, denoised = sample_custom(model, guider, SAMPLERS["euler"], sigmas, empty(), noise=Noise(3))
    assert (output.samples - denoised.samples).std() > 0.5
    sigmas = torch.tensor([10.0, 5.0, 0.0])
    output, denoised = sample_custom(model, guider, SAMPLERS["euler"], sigmas, empty(), noise=Noise(3))
    assert torch.allclose(output.samples, denoised.samples, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_without_levels_the_latent_comes_back(count: int) -> None:
    start = picture()
    sampled = sample_custom(toy_model(), CFG(prompt(1.0)), SAMPLERS["euler"], torch.ones(count), start, noise=Noise(3))
    assert torch.equal(sampled.output.samples, start.samples)


def test_rising_levels_run_backwards_to_noise_and_return() -> None:
    model, guider = toy_model(), CFG(prompt(1.0))
    levels = torch.linspace(0.1, 10.0, 200)
    start = picture()
    noised = sample_custom(model, guider, SAMPLERS["heun"], levels, start, noise=Noise(0, enabled=False)).output
    back = sample_custom(model, guider, SAMPLERS["heun"], levels.flip(0), noised, noise=Noise(0, enabled=False)).output
    assert noised.samples.std() > 5 * start.samples.std()
    assert torch.allclose(back.samples, start.samples, atol=0.05)


ODD_LEVELS = {
    "rising": [0.1, 0.3, 0.5, 0.9],
    "in zigzag": [0.9, 0.4, 0.7, 0.2, 0.5, 0.0],
    "equal": [0.5, 0.5, 0.5],
    "equal in the middle": [0.9, 0.5, 0.5, 0.2, 0.0],
    "equal at the end": [0.9, 0.5, 0.2, 0.2, 0.0],
    "above all of the model": [9e3, 1e3, 0.5, 0.0],
    "below all of the model": [1e-6, 1e-8, 0.0],
    "0 on the way": [0.9, 0.0, 0.5, 0.0],
    "only 0": [0.0, 0.0],
    "negative": [0.9, -0.5, 0.0],
}


@pytest.mark.parametrize("kind", ["eps", "flow_sd3"])
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_odd_levels_give_numbers_or_are_refused_in_words(name: str, kind: str) -> None:
    latent = empty(4, 4, channels=16 if kind.startswith("flow") else 4)
    for what, levels in ODD_LEVELS.items():
        calls: list[int] = []

        def count(step: int, total: int, x: Tensor, denoised: Tensor, calls: list[int] = calls, what: str = what) -> None:
            calls.append(step)
            assert len(calls) < 2_000, f"endless: {what}"

        guider = CFG(prompt(1.0), prompt(-1.0), 3.0)
        try:
            run = sample_custom(toy_model(kind=kind), guider, SAMPLERS[name], torch.tensor(levels), latent, noise=Noise(1), callback=count)
        except EaselError as error:
            assert error.hint, what
        else:
            assert run.output.samples.isfinite().all(), what


def test_euler_follows_levels_whatever_they_do_but_reach_0() -> None:
    for what in ("rising", "in zigzag", "equal", "equal in the middle", "equal at the end", "above all of the model"):
        assert sample_custom(toy_model(), CFG(prompt(1.0)), SAMPLERS["euler"], torch.tensor(ODD_LEVELS[what]), empty(), noise=Noise(1))


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_network_that_gives_no_numbers_ends_every_sampler_at_its_first_step(name: str) -> None:
    def never(step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        raise AssertionError("a step was done")

    with pytest.raises(NodeFailed, match=r"predicts at step 1 of \d+ holds numbers that are not finite"):
        draw(empty(4, 4), lambda x, timestep, context: x * float("nan"), sampler_name=name, callback=never)


def test_a_network_that_begins_to_overflow_is_told_by_step_and_not_asked_again() -> None:
    evaluations: list[int] = []

    def network(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        evaluations.append(1)
        return x * (float("inf") if len(evaluations) == 4 else 0.5)

    with pytest.raises(NodeFailed, match="at step 4 of 20 holds") as caught:
        draw(empty(4, 4), network, steps=20, sampler_name="euler", cfg=1.0)
    assert len(evaluations) == 4 and "fp32" in caught.value.hint


def test_equal_levels_of_a_long_schedule_are_refused_before_the_first_step_where_a_sampler_cannot_have_them() -> None:
    network = Recorder()
    with pytest.raises(InvalidInput, match="twice in a row"):
        draw(empty(2, 2), network, steps=1_500, scheduler="simple", sampler_name="dpmpp_2m")
    assert network.inputs == []


def test_an_adaptive_run_whose_tolerances_cannot_be_met_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpm_solver, "MOST_STEPS", 50)
    levels = torch.tensor([10.0, 0.1, 0.0])
    for options in ({"rtol": 1e-300, "atol": 1e-300}, {"rtol": 1e-6, "atol": 1e-7}, {"accept_safety": 100.0}):
        strict = SAMPLERS["dpm_adaptive"].with_options(**options)
        with pytest.raises(InvalidInput, match="no steps that are small enough"):
            sample_custom(toy_model(), CFG(prompt(1.0)), strict, levels, empty(2, 2), noise=Noise(1))

"""Schedules: what every one of them keeps to, and how parts of them are taken. Their values are compared in tests/reference."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.sampling.prediction import KINDS, prediction_of
from engine.diffusion.sampling.schedules import (
    SCHEDULER_NAMES,
    beta,
    cut,
    exponential_range,
    karras_range,
    laplace_range,
    partial,
    polyexponential_range,
    schedule,
    turbo,
    variance_preserving,
)
from engine.errors import InvalidInput

EPS = prediction_of("eps")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCHEDULER_NAMES)
@pytest.mark.parametrize("steps", [2, 3, 20, 999, 10_000])
def test_levels_fall_to_zero(name: str, kind: str, steps: int) -> None:
    sigmas = schedule(name, KINDS[kind], steps)
    assert sigmas.dtype == torch.float32
    assert sigmas.isfinite().all()
    assert sigmas[-1] == 0.0
    assert (sigmas.diff() <= 0).all()
    assert sigmas[0] <= KINDS[kind].sigma_max * (1 + 1e-5)


@pytest.mark.parametrize("name", [name for name in SCHEDULER_NAMES if name not in ("ddim_uniform", "beta")])
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_there_is_one_more_level_than_steps(name: str, steps: int) -> None:
    assert len(schedule(name, EPS, steps)) == steps + 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="karas") as caught:
        schedule("karas", EPS, 5)
    assert "karras" in caught.value.hint


def test_denoise_takes_the_end_of_a_longer_schedule() -> None:
    assert torch.equal(partial("karras", EPS, 10, 1.0), schedule("karras", EPS, 10))
    assert torch.equal(partial("karras", EPS, 10, 0.4), schedule("karras", EPS, 25)[-11:])
    assert len(partial("karras", EPS, 10, 0.0)) == 0


def test_the_second_last_level_is_left_out_on_demand() -> None:
    longer = schedule("normal", EPS, 11)
    assert torch.equal(partial("normal", EPS, 10, drop_second_last=True), torch.cat([longer[:-2], longer[-1:]]))
    assert len(partial("normal", EPS, 10, 0.5, drop_second_last=True)) == 11


@pytest.mark.parametrize(
    ("start", "end", "leftover", "expected"),
    [
        (None, None, False, [4.0, 3.0, 2.0, 1.0, 0.0]),
        (1, None, False, [3.0, 2.0, 1.0, 0.0]),
        (0, 2, True, [4.0, 3.0, 2.0]),
        (0, 2, False, [4.0, 3.0, 0.0]),
        (1, 3, True, [3.0, 2.0, 1.0]),
        (1, 10_000, False, [3.0, 2.0, 1.0, 0.0]),
        (4, None, False, []),
        (3, 2, False, []),
    ],
)
def test_a_range_of_steps(start: int | None, end: int | None, leftover: bool, expected: list[float]) -> None:
    whole = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    assert cut(whole, start, end, leftover_noise=leftover).tolist() == expected
    assert whole[2] == 2.0


def test_schedules_over_a_range_meet_its_ends() -> None:
    for sigmas in (karras_range(5, 0.03, 14.6, 5.0), exponential_range(5, 0.03, 14.6), polyexponential_range(5, 0.03, 14.6, 0.7)):
        assert sigmas.tolist()[::4] == pytest.approx([14.6, 0.03], rel=1e-5)
        assert sigmas[-1] == 0.0
    assert torch.allclose(polyexponential_range(5, 0.03, 14.6, 1.0), exponential_range(5, 0.03, 14.6), rtol=1e-5)


def test_laplace_is_clamped_to_its_range_and_symmetric_in_log() -> None:
    sigmas = laplace_range(9, 0.05, 20.0, mu=0.0, beta=0.5)
    assert len(sigmas) == 9
    assert sigmas[4] == pytest.approx(1.0, rel=1e-4)
    assert (sigmas * sigmas.flip(0)).tolist()[1:8] == pytest.approx([1.0] * 7, rel=1e-3)


def test_variance_preserving_levels_follow_their_betas() -> None:
    sigmas = variance_preserving(3, beta_d=19.9, beta_min=0.1, epsilon=0.001)
    # exp of the integral of beta from 0 to 1 is exp(beta_min + beta_d / 2) = 1 + sigma^2
    assert (sigmas[0] ** 2 + 1).log().item() == pytest.approx(0.1 + 19.9 / 2, rel=1e-5)


def test_turbo_takes_its_own_timesteps() -> None:
    assert turbo(EPS, 1).tolist() == pytest.approx([EPS.sigma_max, 0.0], rel=1e-5)
    assert turbo(EPS, 2, denoise=0.5)[:2].tolist() == pytest.approx(EPS.levels.sigmas[[499, 399]].tolist(), rel=1e-5)


@pytest.mark.parametrize("denoise", [1e-320, 1e-9, 1e-5])
def test_so_little_denoise_that_the_schedule_would_have_no_end_is_refused(denoise: float) -> None:
    with pytest.raises(InvalidInput, match="more than 1,000,000 steps"):
        partial("normal", EPS, 20, denoise)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_ten_thousand_steps_of_a_hundredth_are_the_end_of_a_million(name: str) -> None:
    sigmas = partial(name, EPS, 10_000, 0.01)
    assert len(sigmas) <= 10_001 and sigmas[-1] == 0.0
    assert sigmas.isfinite().all() and (sigmas.diff() <= 0).all()


def test_ranges_without_levels_say_so() -> None:
    for make in (
        lambda: exponential_range(5, 0.0, 14.6),
        lambda: polyexponential_range(5, 0.03, 0.0),
        lambda: karras_range(5, 0.03, 14.6, 1e-300),
        lambda: beta(EPS, 5, 0.0),
    ):
        with pytest.raises(InvalidInput) as caught:
            make()
        assert caught.value.hint

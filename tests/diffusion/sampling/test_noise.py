"""Noise: the numbers that a seed stands for."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.sampling.noise import BrownianNoise, Noise, StepNoise, brownian_noise, initial_noise
from engine.values.latent import Latent


def test_a_seed_gives_the_numbers_everyone_knows() -> None:
    noise = initial_noise((2, 4, 8, 8), 0)
    assert noise[0, 0, 0, :4].tolist() == pytest.approx([-1.1258398, -1.1523602, -0.2505786, -0.4338788], abs=1e-6)
    assert noise[1, 0, 0, :2].tolist() == pytest.approx([-0.0393725, -0.8014722], abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_every_seed_of_the_range_draws(seed: int) -> None:
    assert initial_noise((1, 4, 4, 4), seed).std() == pytest.approx(1.0, abs=0.35)


def test_batch_index_picks_slabs_of_one_stream_in_its_order() -> None:
    stream = initial_noise((5, 4, 8, 8), 7)
    assert torch.equal(initial_noise((3, 4, 8, 8), 7, (4, 1, 4)), stream[[4, 1, 4]])


def test_disabled_noise_is_zero() -> None:
    latent = Latent(torch.ones(2, 4, 8, 8))
    assert not Noise(5, enabled=False).draw(latent).any()
    assert torch.equal(Noise(5).draw(latent), initial_noise((2, 4, 8, 8), 5))


def test_step_noise_starts_like_the_first_noise_and_goes_on() -> None:
    source = StepNoise(torch.zeros(1, 4, 8, 8), 9)
    level = torch.tensor(1.0)
    first, second = source(level, level), source(level, level)
    assert torch.equal(first, initial_noise((1, 4, 8, 8), 9))
    assert not torch.equal(first, second)


def brownian(seed: int = 3) -> BrownianNoise:
    return BrownianNoise(torch.zeros(1, 1, 64, 64), seed, torch.tensor(0.1), torch.tensor(10.0))


def test_brownian_increments_are_unit_noise_and_independent() -> None:
    noise = brownian()
    one, two = noise(torch.tensor(10.0), torch.tensor(6.0)), noise(torch.tensor(6.0), torch.tensor(1.0))
    assert one.std().item() == pytest.approx(1.0, abs=0.05)
    assert two.std().item() == pytest.approx(1.0, abs=0.05)
    assert abs((one * two).mean().item()) < 0.06


def test_finer_steps_walk_the_same_brownian_path() -> None:
    levels = [torch.tensor(value) for value in (8.0, 5.0, 2.0)]
    coarse = brownian()(levels[0], levels[2]) * 6.0**0.5
    noise = brownian()
    fine = (noise(levels[0], levels[1]) + noise(levels[1], levels[2])) * 3.0**0.5
    assert torch.allclose(coarse, fine, atol=1e-4)


def test_a_step_of_no_length_has_no_noise() -> None:
    level = torch.tensor(5.0)
    assert not brownian()(level, level).any()


def test_the_path_lies_between_the_ends_of_a_schedule() -> None:
    x = torch.zeros(1, 1, 8, 8)
    noise = brownian_noise(x, 4, torch.tensor([14.6, 3.0, 0.03, 0.0]))
    direct = BrownianNoise(x, 4, torch.tensor(0.03), torch.tensor(14.6))
    step = (torch.tensor(14.6), torch.tensor(3.0))
    assert torch.equal(noise(*step), direct(*step))

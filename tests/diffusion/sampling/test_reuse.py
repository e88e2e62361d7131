"""EasyCache and LazyCache: outputs foretold where they change little, by the paper's estimate."""

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling.conditions import Position
from engine.diffusion.sampling.denoiser import GuidedDenoiser
from engine.diffusion.sampling.guidance import CFG, GuidanceOptions
from engine.diffusion.sampling.model import Start
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.prediction import prediction_of
from engine.diffusion.sampling.reuse import Change, Reuse
from engine.diffusion.sampling.sample import sample_custom
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.diffusion.sampling.schedules import schedule
from engine.values.conditioning import Condition, Conditioning, StepRanges
from tests.diffusion.sampling.toys import Recorder, empty, prompt, toy_model

EPS = prediction_of("eps")
ALWAYS = {"start_percent": 0.0, "end_percent": 1.0}


def at(percent: float) -> Tensor:
    return torch.tensor(EPS.percent_to_sigma(percent))


def run(reuse: Reuse | None, steps: int = 20, cfg: float = 4.0) -> tuple[Tensor, Recorder]:
    network = Recorder()
    options = GuidanceOptions() if reuse is None else GuidanceOptions().adding(reuse=reuse)
    model = toy_model(network, options=options)
    sigmas = schedule("karras", model.prediction, steps)
    guider = CFG(prompt(1.0), prompt(-1.0), cfg)
    return sample_custom(model, guider, SAMPLERS["euler"], sigmas, empty(), noise=Noise(1)).output.samples, network


@pytest.mark.parametrize("guided", [False, True])
def test_a_threshold_of_0_is_bit_identical_to_none(guided):
    plain, network = run(None)
    found, reusing = run(Reuse(0.0, guided=guided))
    assert found.equal(plain) and len(reusing.inputs) == len(network.inputs) == 20


@pytest.mark.parametrize("guided", [False, True])
def test_steps_are_left_out_and_the_picture_stays_close(guided):
    plain, _ = run(None)
    found, network = run(Reuse(0.2, guided=guided))
    assert 4 <= len(network.inputs) < 20
    assert float((found - plain).abs().mean() / plain.abs().mean()) < 0.25


@pytest.mark.parametrize("guided", [False, True])
def test_a_higher_threshold_leaves_more_out_and_only_in_its_part(guided):
    calls = [len(run(Reuse(threshold, guided=guided))[1].inputs) for threshold in (0.05, 0.3, 3.0)]
    assert calls[0] >= calls[1] >= calls[2] and calls[0] > calls[2]
    _, network = run(Reuse(3.0, 0.5, 0.8, guided=guided))
    timesteps = [float(given[0]) for given in network.timesteps]
    _, whole = run(None)
    every = [float(given[0]) for given in whole.timesteps]
    left_out = sorted(set(every) - set(timesteps))
    assert left_out and all(EPS.percent_to_sigma(0.8) <= EPS.levels.sigma(torch.tensor(t)) <= EPS.percent_to_sigma(0.5) for t in left_out)


def test_the_estimate_is_the_paper_s():
    """rate = |dv| / |dx|; foretold relative change = rate |x - x_last| / |v_last|, summed up until the threshold."""
    change = Change(Reuse(0.5, **ALWAYS), EPS)
    one = torch.ones(1, 4, 2, 2)
    assert not change.is_small(one, at(0.1))
    change.learn(one, one * 8.0)
    assert not change.is_small(one * 2, at(0.2))
    change.learn(one * 2, one * 10.0)  # rate 2, output 10
    assert change.is_small(one * 3, at(0.3))  # 0.2
    assert change.is_small(one * 3, at(0.4))  # 0.4
    assert not change.is_small(one * 3, at(0.5))  # 0.6
    assert change.is_small(one * 4, at(0.6))  # begun anew: 0.4


def test_a_size_that_changes_in_a_run_is_computed():
    change = Change(Reuse(3.0, **ALWAYS), EPS)
    small, large = torch.ones(1, 4, 2, 2), torch.ones(1, 4, 4, 4)
    change.learn(small, small)
    change.learn(small * 2, small * 2)
    assert change.is_small(small * 2, at(0.5))
    assert not change.is_small(large, at(0.5))


def test_the_negative_s_prediction_is_foretold_too_and_steps_are_counted():
    model = toy_model(Recorder(), options=GuidanceOptions().adding(reuse=Reuse(3.0, guided=True, **ALWAYS)))
    one = torch.ones(1, 4, 8, 8)
    start = Start(one, one, None)
    late = Condition(torch.full((1, 77, 8), 5.0), steps=StepRanges(5, ((3, 5),)))
    negative = Conditioning([*prompt(-1.0), late])
    denoiser = GuidedDenoiser(model, CFG(prompt(1.0), negative, 4.0), start, torch.tensor([14.0, 0.0]), position=Position(0, 5))
    denoiser.guided(one, at(0.5))
    second = denoiser.guided(one * 0.9, at(0.5))
    third = denoiser.guided(one * 0.8, at(0.6))
    assert len(model.network.inputs) == 2
    torch.testing.assert_close(third.denoised, second.denoised - 0.1)
    torch.testing.assert_close(third.uncond, second.uncond - 0.1)
    denoiser.guided(one * 0.7, at(0.7))
    denoiser.guided(one * 50, at(0.8))
    assert [len(given) for given in model.network.inputs] == [2, 2, 3]

"""Prompts that count in some steps only: timed by evaluations of the network, in every sampler, part of a run and mix with others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.diffusion.sampling.sample import sample
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.values.conditioning import Conditioning, StepRanges
from tests.diffusion.sampling.toys import Recorder, empty, prompt, toy_model

RUN: dict[str, Any] = {"seed": 1, "steps": 10, "cfg": 1.0, "sampler_name": "euler", "scheduler": "karras"}


def timed(total: int, **ranges: list[tuple[int, int]]) -> Conditioning:
    """One prompt per range, whose value is its number from 1."""
    prompts = (prompt(float(number), steps=StepRanges(total, tuple(own))) for number, own in enumerate(ranges.values(), 1))
    return sum(prompts, Conditioning())


def seen(positive: Conditioning, negative: Conditioning | None = None, **changes: Any) -> list[list[float]]:
    """The values of the prompts in each evaluation of the network."""
    network = Recorder()
    sample(toy_model(network), positive, negative or prompt(-1.0), empty(), **{**RUN, **changes})
    return [[float(value) for value in context.mean(dim=(1, 2))] for context in network.contexts]


def test_a_switch_after_step_three_comes_after_four_evaluations() -> None:
    got = seen(timed(10, a=[(0, 3)], b=[(4, 10)]))
    assert got == [[1.0]] * 4 + [[2.0]] * 6


def test_alternatives_change_at_every_evaluation() -> None:
    assert seen(timed(4, a=[(0, 1), (3, 3)], b=[(2, 2), (4, 4)]), steps=4) == [[1.0], [1.0], [2.0], [1.0]]


def test_a_run_of_other_length_is_divided_in_the_same_proportions() -> None:
    positive = timed(10, a=[(0, 4)], b=[(5, 10)])
    for steps in (2, 20, 30):
        assert seen(positive, steps=steps) == [[1.0]] * (steps // 2) + [[2.0]] * (steps // 2)


def test_the_negative_prompt_is_timed_too() -> None:
    got = seen(prompt(5.0), timed(4, a=[(0, 1)], b=[(2, 4)]), steps=4, cfg=3.0)
    assert got == [[1.0, 5.0]] * 2 + [[2.0, 5.0]] * 2


@pytest.mark.parametrize("name", ["heun", "dpm_2", "dpmpp_2s_ancestral", "dpmpp_sde"])
def test_samplers_of_second_order_count_evaluations(name: str) -> None:
    got = seen(timed(20, a=[(0, 4)], b=[(5, 20)]), sampler_name=name)
    assert got[:6] == [[1.0]] * 5 + [[2.0]]
    per_step = seen(timed(10, a=[(0, 4)], b=[(5, 10)]), sampler_name=name)
    assert per_step[:11] == [[1.0]] * 10 + [[2.0]]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_sees_one_prompt_at_a_time_and_ends_with_the_last(name: str) -> None:
    got = seen(timed(10, a=[(0, 4)], b=[(5, 10)]), sampler_name=name, scheduler="normal", steps=12, cfg=2.0)
    order = [values[-1] for values in got]
    assert order == sorted(order) and order[0] == 1.0 and order[-1] == 2.0
    assert all(len(values) == 2 for values in got)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if name not in ("dpm_adaptive", "dpm_fast", "heunpp2")])
def test_the_number_of_evaluations_that_a_sampler_says_it_makes_is_right(name: str) -> None:
    """Half of the evaluations fall into the first half of the steps, so that a fraction means the same in all."""
    got = seen(prompt(1.0), sampler_name=name, scheduler="normal", steps=12)
    assert abs(len(got) - 12 * SAMPLERS[name].evaluations) <= SAMPLERS[name].evaluations


def test_a_run_in_two_parts_is_timed_as_one() -> None:
    positive = timed(10, a=[(0, 6)], b=[(7, 10)])
    parts = [{"start_at_step": 0, "end_at_step": 4}, {"start_at_step": 4, "end_at_step": 10}]
    assert [values for part in parts for values in seen(positive, **part)] == [[1.0]] * 7 + [[2.0]] * 3


def test_a_run_that_denoises_in_part_is_a_whole_one() -> None:
    assert seen(timed(10, a=[(0, 4)], b=[(5, 10)]), denoise=0.5) == [[1.0]] * 5 + [[2.0]] * 5


def test_a_prompt_that_stands_on_both_sides_is_computed_once() -> None:
    shared = prompt(-1.0)
    network = Recorder()
    positive = prompt(1.0, strength=1.0) + prompt(2.0, strength=1.0) + shared.with_each(strength=-1.0)
    sample(toy_model(network), positive, shared, empty(), **{**RUN, "cfg": 4.0, "steps": 2})
    assert [len(x) for x in network.inputs] == [3, 3]
    separate = prompt(1.0, strength=1.0) + prompt(2.0, strength=1.0) + prompt(-1.0, strength=-1.0)
    one, other = (sample(toy_model(), each, prompt(-1.0), empty(), **{**RUN, "cfg": 4.0}).samples for each in (separate, positive))
    torch.testing.assert_close(one, other)

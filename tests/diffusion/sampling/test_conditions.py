"""Conditions: where, when and how much each prompt counts, and how many calls of the network they cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling.conditions import BEGINNING, Position, place
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.diffusion.sampling.predictor import Predictor
from engine.diffusion.sampling.sample import sample
from engine.errors import InvalidInput
from engine.values.conditioning import Area, Condition, Conditioning, StepRanges
from tests.diffusion.sampling.toys import Recorder, empty, prompt, toy_model


def value_network(x: Tensor, timestep: Tensor, context: Tensor, **extras: Tensor) -> Tensor:
    """Predicts its prompt's value everywhere; read with formula x0."""
    return context.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x)


class Plain:
    """A prediction that hands the network's output through, so that a side's mean can be read off."""

    flow = False

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return output

    def add_noise(self, sigma: Tensor, noise: Tensor, latent: Tensor, all_noise: bool) -> Tensor:
        return latent

    def finish(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x


def values(
    *conditions: Conditioning,
    size: tuple[int, int] = (16, 24),
    sigma: float = 1.0,
    batch: int = 1,
    network: Any = value_network,
    position: Position = BEGINNING,
    **changes: Any,
) -> list[Tensor]:
    """The mean prediction of each side, one channel [B, h, w]."""
    model = toy_model(network, **changes)
    model = DiffusionModel(**{**vars(model), "prediction": type(model.prediction)(model.prediction.levels, Plain())})
    latent = torch.zeros(batch, 4, *size)
    predictor = Predictor(model, Start(latent, latent, None))
    return [side[:, 0] for side in predictor(predictor.place(conditions), latent, torch.tensor(sigma), position)]


def test_strengths_weigh_the_prompts_of_a_side() -> None:
    (mean,) = values(prompt(1.0, strength=3.0) + prompt(5.0, strength=1.0))
    assert torch.allclose(mean, torch.tensor(2.0))


def test_a_single_prompt_counts_fully_whatever_its_strength() -> None:
    (mean,) = values(prompt(4.0, strength=0.25))
    assert torch.allclose(mean, torch.tensor(4.0))


def test_nothing_is_predicted_where_no_prompt_counts() -> None:
    (mean,) = values(prompt(4.0, strength=0.0))
    assert not mean.any()
    (mean,) = values(prompt(4.0, area=Area(4, 4, 0, 0)))
    assert mean[:, :4, :4].eq(4.0).all()
    assert not mean[:, 4:].any()


def test_an_area_counts_inside_only_and_fades_in_at_inner_edges() -> None:
    (mean,) = values(prompt(0.0) + prompt(1.0, area=Area(8, 24, 8, 0)), size=(24, 24))
    assert not mean[:, :8].any()
    assert not mean[:, 16:].any()
    inside = mean[0, 8:16, 0]
    assert inside.tolist() == pytest.approx([1 / 3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1 / 3], abs=1e-6)


def test_edges_at_the_border_of_the_latent_do_not_fade() -> None:
    (mean,) = values(prompt(0.0) + prompt(1.0, area=Area(16, 12, 0, 0)))
    assert mean[0, 0, 0] == pytest.approx(0.5)
    assert mean[0, 15, 0] == pytest.approx(0.5)
    assert mean[0, 0, 11] < 0.5


def test_fractions_of_the_latent_are_rounded_to_its_pixels() -> None:
    assert torch.equal(
        values(prompt(1.0, area=Area(0.5, 0.25, 0.5, 0.5, fraction=True)))[0], values(prompt(1.0, area=Area(8, 6, 8, 12)))[0]
    )


def test_an_area_over_the_border_is_cut_and_one_outside_is_an_error() -> None:
    assert torch.equal(values(prompt(1.0, area=Area(99, 99, 8, 8)))[0], values(prompt(1.0, area=Area(8, 16, 8, 8)))[0])
    with pytest.raises(InvalidInput, match="outside"):
        values(prompt(1.0, area=Area(4, 4, 16, 0)))


def test_a_mask_weighs_each_pixel_and_is_resized() -> None:
    mask = torch.zeros(1, 32, 48)
    mask[:, :16] = 1.0
    (mean,) = values(prompt(0.0) + prompt(1.0, mask=mask, mask_strength=3.0))
    assert torch.allclose(mean[:, :7], torch.tensor(0.75))
    assert not mean[:, 9:].any()


def test_a_mask_per_image_of_the_batch() -> None:
    mask = torch.stack([torch.zeros(16, 24), torch.ones(16, 24)])
    (mean,) = values(prompt(0.0) + prompt(1.0, mask=mask), batch=2)
    assert not mean[0].any()
    assert torch.allclose(mean[1], torch.tensor(0.5))


def test_mask_bounds_compute_only_the_part_the_mask_covers() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, 2:12, 10:13] = 1.0
    network = Recorder()
    values(prompt(1.0, mask=mask, mask_bounds=True), network=network)
    assert network.inputs[0].shape == (1, 4, 10, 8)


def test_an_empty_mask_with_bounds_counts_nowhere() -> None:
    (mean,) = values(prompt(1.0, mask=torch.zeros(1, 16, 24), mask_bounds=True))
    assert not mean.any()


def test_filling_prompts_take_the_weight_that_others_leave() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, :8] = 1.0
    (mean,) = values(prompt(1.0, mask=mask) + prompt(5.0, fill=True))
    assert torch.allclose(mean[:, :8], torch.tensor(1.0))
    assert torch.allclose(mean[:, 8:], torch.tensor(5.0))


@pytest.mark.parametrize(("sigma", "value"), [(14.6, 1.0), (8.0, 1.0), (1.0, 2.0), (0.03, 2.0)])
def test_ranges_of_the_denoising(sigma: float, value: float) -> None:
    (mean,) = values(prompt(1.0, end_percent=0.5) + prompt(2.0, start_percent=0.5), sigma=sigma)
    assert torch.allclose(mean, torch.tensor(value))


def test_both_ends_of_a_range_belong_to_it() -> None:
    border = toy_model().prediction.percent_to_sigma(0.5)
    (mean,) = values(prompt(1.0, end_percent=0.5) + prompt(2.0, start_percent=0.5), sigma=border)
    assert torch.allclose(mean, torch.tensor(1.5))


def test_the_other_side_gets_the_same_area_from_its_smallest_enclosing_prompt() -> None:
    network = Recorder()
    positive = prompt(1.0) + prompt(2.0, area=Area(4, 4, 2, 2))
    negative = prompt(-1.0) + prompt(-2.0, area=Area(8, 8, 0, 0))
    model = toy_model(network)
    latent = torch.zeros(1, 4, 16, 24)
    sides = place([positive, negative], model, Start(latent, latent, None))
    areas = [[(condition.area, condition.context.mean().item()) for condition in side] for side in sides]
    assert areas == [
        [(None, 1.0), ((4, 4, 2, 2), 2.0), ((8, 8, 0, 0), 1.0)],
        [(None, -1.0), ((8, 8, 0, 0), -2.0), ((4, 4, 2, 2), -2.0)],
    ]


def calls(positive: Conditioning, negative: Conditioning, **changes: Any) -> Recorder:
    network = Recorder()
    run: dict[str, Any] = {"seed": 1, "steps": 3, "cfg": 5.0, "sampler_name": "euler", "scheduler": "normal"}
    sample(toy_model(network, **changes), positive, negative, empty(16, 16, batch=2), **run)
    return network


def test_both_sides_share_one_call_negative_first() -> None:
    network = calls(prompt(1.0), prompt(-1.0))
    assert len(network.inputs) == 3
    assert all(context.mean(dim=(1, 2)).tolist() == [-1.0, -1.0, 1.0, 1.0] for context in network.contexts)


def test_contexts_are_joined_once_per_run() -> None:
    network = calls(prompt(1.0), prompt(-1.0))
    assert network.contexts[0] is network.contexts[1] is network.contexts[2]


def test_sides_that_do_not_fit_together_run_one_after_the_other_and_give_the_same() -> None:
    small = calls(prompt(1.0), prompt(-1.0), fits=lambda shape: shape[0] <= 2)
    together = calls(prompt(1.0), prompt(-1.0))
    assert [len(x) for x in small.inputs] == [2] * 6
    assert torch.allclose(small.inputs[-1], together.inputs[-1][2:], atol=1e-6)


def test_three_prompts_where_two_fit() -> None:
    network = calls(prompt(1.0) + prompt(2.0), prompt(-1.0), fits=lambda shape: shape[0] <= 4)
    assert sorted(len(x) for x in network.inputs) == [2, 2, 2, 4, 4, 4]


@pytest.mark.parametrize(("tokens", "shapes"), [(154, [154]), (231, [231]), (308, [308]), (385, [385, 77]), (100, [100, 77])])
def test_prompts_of_unequal_length_are_repeated_to_one_length_while_that_is_cheap(tokens: int, shapes: list[int]) -> None:
    network = calls(prompt(1.0, tokens), prompt(-1.0))
    assert [context.shape[1] for context in network.contexts[: len(shapes)]] == shapes


def test_models_that_must_not_repeat_get_separate_calls() -> None:
    network = calls(prompt(1.0, 154), prompt(-1.0), repeat_context=False)
    assert [context.shape[1] for context in network.contexts[:2]] == [154, 77]


def test_further_inputs_are_asked_for_once_and_join_like_the_context() -> None:
    asked: list[Condition] = []

    def inputs(condition: Condition, start: Start) -> dict[str, Tensor]:
        asked.append(condition)
        mean = condition.context.mean()
        return {"y": mean.expand(1, 5), "concat": start.latent[:1, :1] + mean}

    network = calls(prompt(1.0) + prompt(2.0, area=Area(8, 8, 4, 4)), prompt(-1.0), inputs=inputs)
    assert len(asked) == 3
    shared = [extras for x, extras in zip(network.inputs, network.extras, strict=True) if x.shape[-1] == 16]
    cropped = [extras for x, extras in zip(network.inputs, network.extras, strict=True) if x.shape[-1] == 8]
    assert shared[0]["y"][:, 0].tolist() == [-1.0, -1.0, 1.0, 1.0]
    assert shared[0]["concat"].shape == (4, 1, 16, 16)
    assert cropped[0]["concat"].shape == (4, 1, 8, 8)


def test_contexts_of_a_batch_are_cut_or_repeated_to_the_latents() -> None:
    three = Conditioning([Condition(torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1).expand(3, 77, 8))])
    (mean,) = values(three, batch=5)
    assert mean[:, 0, 0].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    (mean,) = values(three, batch=2)
    assert mean[:, 0, 0].tolist() == [1.0, 2.0]


def test_an_area_gets_the_counterpart_of_the_prompt_that_counts_in_this_step() -> None:
    area = prompt(9.0, area=Area(8, 8, 4, 4))
    changing = prompt(1.0, steps=StepRanges(4, ((0, 1),))) + prompt(2.0, steps=StepRanges(4, ((2, 4),)))
    for evaluation, expected in enumerate((1.0, 1.0, 2.0, 2.0)):
        _, negative = values(area, changing, position=Position(evaluation, 4))
        assert torch.allclose(negative, torch.tensor(expected))

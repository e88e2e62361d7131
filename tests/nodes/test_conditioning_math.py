"""Prompts combined, where no recorded figure covers it."""

import pytest
import torch

from engine.errors import InvalidInput
from engine.values.conditioning import Condition, Conditioning
from nodes.conditioning_math import conditioning_average, conditioning_concat, conditioning_set_mask, conditioning_zero_out


def prompt(tokens: int, value: float, pooled: float | None = None) -> Conditioning:
    return Conditioning([Condition(torch.full((1, tokens, 4), value), None if pooled is None else torch.full((1, 4), pooled))])


def test_a_shorter_prompt_is_filled_with_zeros_and_a_longer_one_cut():
    mixed = conditioning_average(prompt(5, 1.0), prompt(3, 2.0), 0.25)[0].context[0, :, 0]
    assert mixed.tolist() == [1.75, 1.75, 1.75, 0.25, 0.25]
    assert conditioning_average(prompt(2, 1.0), prompt(3, 2.0), 0.25)[0].context.shape == (1, 2, 4)


def test_pooled_vectors_mix_where_both_have_one():
    assert conditioning_average(prompt(2, 1, 4.0), prompt(2, 1, 8.0), 0.25)[0].pooled[0, 0] == 7.0
    assert conditioning_average(prompt(2, 1, 4.0), prompt(2, 1), 0.25)[0].pooled[0, 0] == 4.0
    assert conditioning_average(prompt(2, 1), prompt(2, 1, 8.0), 0.25)[0].pooled[0, 0] == 8.0


def test_only_the_first_of_the_others_is_taken_and_there_must_be_one():
    both = prompt(2, 1.0) + prompt(2, 5.0)
    assert [c.context[0, -1, 0].item() for c in conditioning_concat(both, prompt(1, 7.0) + prompt(1, 9.0))] == [7.0, 7.0]
    for combine in (conditioning_concat, conditioning_average):
        with pytest.raises(InvalidInput, match="empty"):
            combine(both, Conditioning())


def test_zeroing_leaves_the_prompt_it_was_given():
    given = prompt(2, 1.0, 3.0)
    zeroed = conditioning_zero_out(given)[0]
    assert not zeroed.context.any() and not zeroed.pooled.any() and given[0].context.all()


def test_a_single_mask_becomes_a_batch():
    assert conditioning_set_mask(prompt(2, 1.0), torch.ones(6, 5))[0].mask.shape == (1, 6, 5)

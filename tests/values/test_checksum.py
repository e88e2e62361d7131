"""A checksum tells tensors apart by everything that makes them what they are."""

from __future__ import annotations

import torch

from engine.values.checksum import sum_of


def test_every_difference_is_another_sum_and_a_copy_is_none():
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn]
    given = [{"a": torch.zeros(2, 3, dtype=kind)} for kind in kinds]
    given += [{"b": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {"a": torch.zeros(())}, {"a": torch.zeros(0)}, {}]
    given += [
        {"a": torch.tensor([-0.0] + [0.0] * 5).view(2, 3)},
        {"a": torch.arange(6.0).view(2, 3)},
        {"a": torch.arange(6.0).view(3, 2).T},
    ]
    assert len({sum_of(tensors) for tensors in given}) == len(given)
    both = {"a": torch.rand(4, 5), "b": torch.rand(3)}
    copied = {"b": both["b"].clone(), "a": both["a"].T.contiguous().T}
    assert sum_of(copied) == sum_of(both)

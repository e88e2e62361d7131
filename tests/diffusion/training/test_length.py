"""Lengths of trainings in steps, epochs and pictures."""

from __future__ import annotations

import pytest

from engine.diffusion.training.length import in_steps
from engine.errors import InvalidInput
from engine.values.training import Plan
from tests.diffusion.training.sets import random_set


def test_epochs_and_pictures_become_steps(tmp_path):
    """Five pictures in two buckets, four and one: with batches of two an epoch has three."""
    data = random_set(tmp_path, 5)
    plan = Plan(steps=10, save_every=2, validate_every=1, batch_size=2)
    assert in_steps(plan, data) is plan
    found = in_steps(plan.model_copy(update={"unit": "epochs"}), data)
    assert (found.steps, found.save_every, found.validate_every, found.unit) == (30, 6, 3, "steps")
    found = in_steps(plan.model_copy(update={"unit": "epochs", "accumulation": 2}), data)
    assert (found.steps, found.save_every) == (20, 4)
    found = in_steps(plan.model_copy(update={"unit": "images", "accumulation": 2}), data)
    assert (found.steps, found.save_every, found.validate_every) == (3, 1, 1)
    assert in_steps(plan.model_copy(update={"unit": "images", "validate_every": 0}), data).validate_every == 0


def test_a_length_without_end_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="30,000,000 steps"):
        in_steps(Plan(steps=10_000_000, batch_size=2, unit="epochs"), random_set(tmp_path, 5))

"""Optimizers come from lists; schedules are those of the libraries; options that do nothing are refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from engine.diffusion.training import optimizers
from engine.diffusion.training.optimizers import BUILT_IN, Group, build_optimizer, build_schedule, needs_horizon, warmup_steps
from engine.diffusion.training.recipe import recipe_of
from engine.errors import InvalidInput
from engine.values.training import Adapter, Objective, Optimizer, Plan


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.tensor([3.0, -2.0]))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_optimizer_lowers_a_square(name):
    weight = parameter()
    optimizer = build_optimizer(Optimizer(name=name, rate=0.05), [Group("unet", [weight], 0.05)])
    for _ in range(50):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    assert (weight**2).sum() < 12


@pytest.mark.parametrize("name", ["os.system", "torch.optim.AdamW", "bitsandbytes.optim.AdEMAMix8bit", "adamw", ""])
def test_a_name_that_is_on_no_list_is_refused(name):
    with pytest.raises(InvalidInput, match="no optimizer"):
        build_optimizer(Optimizer(name=name), [Group("unet", [parameter()], 1e-4)])


def test_an_optional_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(optimizers.PACKAGES, "Rare", ("rare-package", "rare_package_that_is_not_there", "Rare"))
    with pytest.raises(InvalidInput, match="needs the package rare-package") as caught:
        build_optimizer(Optimizer(name="Rare"), [Group("unet", [parameter()], 1e-4)])
    assert "pip install rare-package" in caught.value.hint


def test_options_reach_the_optimizer_and_others_are_refused():
    built = build_optimizer(Optimizer(options="weight_decay=0.3 betas=0.8,0.9 amsgrad=true"), [Group("unet", [parameter()], 1e-4)])
    assert built.param_groups[0]["weight_decay"] == 0.3
    assert built.param_groups[0]["betas"] == (0.8, 0.9)
    assert built.param_groups[0]["amsgrad"] is True
    for options in ("momentum=0.9", "lr=1", "weight_decay=lots", "params=1", "weight_decay"):
        with pytest.raises(InvalidInput):
            build_optimizer(Optimizer(options=options), [Group("unet", [parameter()], 1e-4)])


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD"])
def test_one_call_for_all_matrices_moves_them_as_one_call_for_each_does(name):
    weights = {options: parameter() for options in ("", "fused=false")}
    for options, weight in weights.items():
        optimizer = build_optimizer(Optimizer(name=name, options=options), [Group("unet", [weight], 0.01)])
        assert optimizer.param_groups[0]["fused"] is (not options)
        for _ in range(20):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(*weights.values(), rtol=1e-6, atol=1e-7)


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(InvalidInput, match="AdamW does not take these options"):
        build_optimizer(Optimizer(options="foreach=true"), [Group("unet", [parameter()], 1e-4)])


def test_groups_keep_their_rates():
    built = build_optimizer(Optimizer(), [Group("unet", [parameter()], 1e-4), Group("text_encoder", [parameter()], 5e-5)])
    assert [group["lr"] for group in built.param_groups] == [1e-4, 5e-5]


def rates(settings: Optimizer, horizon: int) -> list[float]:
    optimizer = build_optimizer(settings, [Group("unet", [parameter()], settings.rate)])
    schedule = build_schedule(settings, optimizer, horizon)
    found = []
    for _ in range(horizon + 1):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_the_cosine_is_the_closed_form():
    found = rates(Optimizer(rate=1.0, warmup=0.1), 100)
    assert found[:10] == pytest.approx([step / 10 for step in range(10)])
    assert found[10:] == pytest.approx([(1 + math.cos(math.pi * step / 90)) / 2 for step in range(91)])


@pytest.mark.parametrize(
    ("schedule", "extra", "points"),
    [
        ("constant", {"warmup": 0}, {0: 1, 100: 1}),
        ("constant_with_warmup", {"warmup": 20}, {0: 0, 10: 0.5, 20: 1, 100: 1}),
        ("linear", {"warmup": 0}, {0: 1, 50: 0.5, 100: 0}),
        ("cosine_with_restarts", {"warmup": 0, "cycles": 2}, {0: 1, 25: 0.5, 50: 1, 75: 0.5}),
        ("polynomial", {"warmup": 0, "power": 2}, {0: 1, 50: 0.25, 100: 0}),
        ("inverse_sqrt", {"warmup": 25}, {25: 1, 100: 0.5}),
        ("cosine_with_min_lr", {"warmup": 0, "min_rate_share": 0.2}, {0: 1, 50: 0.6, 100: 0.2}),
        ("warmup_stable_decay", {"warmup": 10, "min_rate_share": 0.2}, {0: 0.2, 10: 1, 80: 1, 100: 0.2}),
        ("piecewise_constant", {"warmup": 0, "factors": "1:30,0.5:60,0.1"}, {0: 1, 29: 1, 30: 0.5, 60: 0.1, 100: 0.1}),
    ],
)
def test_every_schedule_goes_where_its_name_says(schedule, extra, points):
    found = rates(Optimizer(rate=1.0, schedule=schedule, **extra), 100)
    assert {step: found[step] for step in points} == pytest.approx(points, abs=1e-9)


def test_warm_up_is_a_number_of_steps_or_a_share():
    assert warmup_steps(Optimizer(warmup=0.05), 1000) == 50
    assert warmup_steps(Optimizer(warmup=30), 1000) == 30


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant", "warmup": 10}, {"schedule": "cosine", "cycles": 3}, {"schedule": "linear", "power": 2.0},
        {"schedule": "cosine", "min_rate_share": 0.5}, {"schedule": "cosine", "factors": "1:3,0"},
        {"schedule": "piecewise_constant", "warmup": 0, "factors": "1;3"}, {"schedule": "piecewise_constant", "warmup": 0},
    ],
)  # fmt: skip
def test_a_setting_that_the_schedule_does_not_read_is_refused(settings):
    with pytest.raises(InvalidInput):
        recipe_of(Adapter(), Objective(), Optimizer(**settings), Plan())


@pytest.mark.parametrize(
    ("adapter", "optimizer", "named"),
    [
        ({}, {"rate": 0.0}, "rate 0"),
        ({"text_encoder": True}, {}, "text encoder"),
        ({}, {"text_rate": 1e-5}, "text_rate"),
        ({}, {"text_share": 0.5}, "text_share"),
        ({"kind": "loha"}, {"up_rate": 16.0}, "up_rate"),
        ({}, {"schedule": "constant", "warmup": 0, "horizon": 500}, "horizon"),
        ({}, {"horizon": 500}, "ends after 500"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(adapter, optimizer, named):
    with pytest.raises(InvalidInput, match=named):
        recipe_of(Adapter(**adapter), Objective(), Optimizer(**optimizer), Plan())


def test_a_timeless_schedule_has_the_same_recipe_at_every_length():
    timeless = Optimizer(schedule="constant", warmup=0)
    assert not needs_horizon(timeless)
    short, long = (recipe_of(Adapter(), Objective(), timeless, Plan(steps=steps)) for steps in (100, 200))
    assert short == long
    short, long = (recipe_of(Adapter(), Objective(), Optimizer(), Plan(steps=steps)) for steps in (100, 200))
    assert short != long
    fixed = [recipe_of(Adapter(), Objective(), Optimizer(horizon=500), Plan(steps=steps)) for steps in (100, 200)]
    assert fixed[0] == fixed[1]

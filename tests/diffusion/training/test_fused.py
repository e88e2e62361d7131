"""Weights that move within the backward pass: the same weights in the end, one gradient at a time, and what does not go with it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.economy import Economy
from engine.diffusion.training.fused import stepping
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.optimizers import BUILT_IN, DEFAULTS
from engine.diffusion.training.recipe import Recipe, whole_recipe
from engine.diffusion.training.segment import train
from engine.errors import InvalidInput, OutOfMemory
from engine.graph.checkpoint import Checkpoint
from engine.values.training import Objective, Optimizer, Plan, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.test_economy import Small
from tests.diffusion.training.test_trainer import assert_same

CONSTANT = {"rate": 1e-4, "schedule": "constant", "warmup": 0, "max_grad_norm": 0}


def whole(fused: bool = True, text_encoder: bool = False, optimizer: dict | None = None, **plan: object) -> Recipe:
    settings = Plan(**{"steps": 4, "batch_size": 1, "fused_backward": fused, **plan})  # type: ignore[arg-type]
    return whole_recipe(True, text_encoder, Objective(), Optimizer(**{**CONSTANT, **(optimizer or {})}), settings)


@pytest.fixture
def trainer(checkpoint, memory, pictures):
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, whole()) as opened:
        yield opened


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_optimizer_comes_to_the_same_bits_and_the_same_memory_of_them(name):
    """On layers of which one is used twice and one not at all."""
    torch.manual_seed(0)
    one = nn.ModuleList([nn.Linear(4, 4), nn.Conv1d(4, 4, 3, padding=1), nn.Linear(4, 4)])
    other = copy.deepcopy(one)
    optimizers = []
    for layers in (one, other):
        groups = [{"params": list(layers[0].parameters())}, {"params": [*layers[1].parameters(), *layers[2].parameters()], "lr": 0.02}]
        optimizers.append(BUILT_IN[name](groups, lr=0.01, **DEFAULTS.get(name, {})))

    def loss(layers: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
        return layers[0](layers[1](layers[0](x).tanh())).square().mean()

    for step in range(4):
        x = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(step))
        optimizers[0].zero_grad()
        loss(one, x).backward()
        norm = nn.utils.get_total_norm([parameter.grad for parameter in one.parameters() if parameter.grad is not None])
        optimizers[0].step()
        with stepping(optimizers[1], lambda: None) as norms:
            loss(other, x).backward()
        assert len(norms) == 4 and torch.stack(norms).norm().item() == pytest.approx(norm.item())
        assert all(parameter.grad is None for parameter in other.parameters())
    assert all(torch.equal(mine, its) for mine, its in zip(one.parameters(), other.parameters(), strict=True))
    mine, its = (optimizer.state_dict() for optimizer in optimizers)
    assert mine["param_groups"] == its["param_groups"] and mine["state"].keys() == its["state"].keys()
    for number, entry in mine["state"].items():
        assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(its["state"][number][key])) for key, value in entry.items())
    loss(other, x).backward()
    assert all(parameter.grad is not None for parameter in [*other[0].parameters(), *other[1].parameters()])


def with_setting(state: TrainingState, fused: bool) -> TrainingState:
    return TrainingState(state.tensors, {**state.record, "recipe": {**state.record["recipe"], "fused_backward": fused}})


def test_it_is_the_training_without_it_also_when_it_goes_on_from_that(run):
    """Of both networks, the text encoder for the first two steps only, with averaged weights."""
    settings = {"text_encoder": True, "optimizer": {"schedule": "linear", "text_rate": 1e-5, "text_share": 0.5, "ema": 0.9}}
    plain = run(whole(False, **settings), 2)
    fused = run(whole(**settings), 2)
    assert_same(with_setting(plain, True), fused)
    wanted = run(whole(False, **settings), 3, state=plain)
    assert_same(with_setting(wanted, True), run(whole(**settings), 3, state=plain))
    assert_same(wanted, run(whole(False, **settings), 3, state=fused))


def test_it_takes_over_from_a_training_whose_batches_went_through_in_pieces(run, checkpoint, memory, pictures):
    """For want of memory, which is the reason to switch it on. It has whole batches only, so it keeps what it can of that."""
    plain = run(whole(False, batch_size=2), 1)
    state = TrainingState(plain.tensors, {**plain.record, "economy": {"checkpointing": True, "pieces": 2}})
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, whole(batch_size=2)) as trainer:
        trainer.load(state)
        assert trainer._economy == Economy(True)
        assert trainer.advance().number == 2
        with pytest.raises(InvalidInput, match="no step is computed with"):
            trainer.load(TrainingState(plain.tensors, {**plain.record, "economy": {"checkpointing": True, "pieces": 3}}))


def test_one_gradient_is_held_at_a_time(trainer):
    held = []

    def count(_: torch.Tensor) -> None:
        held.append(sum(parameter.grad is not None for parameter in trainer._parameters))

    for parameter in trainer._parameters:
        parameter.register_post_accumulate_grad_hook(count)
    step = trainer.advance()
    assert held == [1] * len(trainer._parameters) and step.gradient > 0
    assert all(parameter.grad is None for parameter in trainer._parameters)


def test_the_estimate_counts_the_largest_gradient_alone(trainer):
    sizes = [parameter.nbytes for parameter in trainer._parameters]
    estimate = trainer._estimate()
    assert (estimate.trained, estimate.gradients) == (sum(sizes), max(sizes))


def test_a_gradient_that_is_no_number_is_not_kept(trainer):
    """It is known when weights have moved already, so the state before the step stays."""
    keep = Checkpoint()
    trainer.advance()
    keep.save(trainer.state())
    last = trainer._parameters[0]
    last.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(InvalidInput, match=r"no finite number at step 2; training stopped in this step"):
        train(trainer, 3, keep, tell=lambda progress: None, check=lambda: None)
    assert not trainer.whole and keep.load().step == 1


def test_memory_that_runs_out_is_answered_only_while_nothing_has_moved(checkpoint, memory, pictures):
    """Before the backward pass by gradient checkpointing, in it by an end; pieces of a batch are no way."""
    device, keep, said = Small(memory, pictures=0), Checkpoint(), []
    with open_trainer(
        device, checkpoint.model, checkpoint.clip, pictures, whole(batch_size=2), notice=lambda text, hint: said.append(text)
    ) as trainer:
        device.limit(trainer._networks.unet)
        trainer.advance()
        assert trainer._economies == [Economy(), Economy(True)] and trainer._economy == Economy(True) and len(said) == 1
    with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, whole()) as trainer:
        keep.save(trainer.state())

        def fail(_: torch.Tensor) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

        trainer._parameters[0].register_hook(fail)
        with pytest.raises(OutOfMemory, match="Step 1 ran out of memory when some weights had moved already"):
            train(trainer, 1, keep, tell=lambda progress: None, check=lambda: None)
        assert keep.load().step == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"accumulation": 2}, "accumulation = 2"), ({"processes": 2}, "processes = 2"),
        ({"optimizer": {"max_grad_norm": 1}}, "max_grad_norm = 1"), ({"optimizer": {"name": "Prodigy"}}, "the optimizer Prodigy"),
        ({"optimizer": {"name": "AdamWScheduleFree"}}, "the optimizer AdamWScheduleFree"),
        ({"optimizer": {"name": "AdamW8bit"}}, "the optimizer AdamW8bit"),
    ],
)  # fmt: skip
def test_what_needs_all_gradients_together_is_refused_by_name(settings, named):
    with pytest.raises(InvalidInput, match=f"fused_backward does not go with {named}"):
        whole(**settings)


def test_it_is_for_whole_networks_without_a_loss_scale(checkpoint, pictures):
    with pytest.raises(InvalidInput, match="fused_backward is for whole networks"):
        recipe(fused_backward=True)
    with (
        pytest.raises(InvalidInput, match="float16"),
        open_trainer(Memory(choose("cpu", "fp16")), checkpoint.model, checkpoint.clip, pictures, whole()),
    ):
        pass

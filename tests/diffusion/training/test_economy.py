"""Memory: what a step is thought to need, the ladder down when it does not fit, and what is said about it."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.memory import Memory
from engine.diffusion.training.economy import Activations, Economy, Estimate, ladder
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.segment import train
from engine.errors import OutOfMemory
from engine.graph.checkpoint import Checkpoint
from engine.values.dataset import CaptionPolicy
from engine.values.training import Adapter, Optimizer
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import random_set

# not Adam, which makes a step of any gradient, also of one that is nothing but rounding
LARGE = recipe(Adapter(rank=4), optimizer=Optimizer(name="SGD", rate=1.0, schedule="constant", warmup=0), batch_size=4)


class Small(Memory):
    """A device on which this many bytes are free, and on which a network takes at most so many pictures at once, or a step none."""

    def __init__(self, memory: Memory, *, free: int = 2**40, pictures: int = 1000, checkpointed: int = 1000) -> None:
        super().__init__(memory.numerics)
        self._free, self._pictures, self._checkpointed = free, pictures, checkpointed
        self.freed = 0

    def available(self) -> int:
        return self._free

    def free(self) -> None:
        self.freed += 1
        super().free()

    def limit(self, network: torch.nn.Module) -> None:
        def check(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            most = self._checkpointed if network.is_gradient_checkpointing else self._pictures
            if torch.is_grad_enabled() and len(inputs[0]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

        network.register_forward_pre_hook(check)


@pytest.fixture
def four(tmp_path):
    """Four pictures of one size, so that every batch is full."""
    return random_set(tmp_path, 2, policy=CaptionPolicy(), flip=False)


@pytest.fixture
def teach(checkpoint, memory, four):
    """Two steps on a small device: the state, what was said, and the device."""

    def taught(settings=LARGE, **limits):
        device, said, keep = Small(memory, **limits), [], Checkpoint()
        with open_trainer(
            device, checkpoint.model, checkpoint.clip, four, settings, notice=lambda text, hint: said.append(text)
        ) as trainer:
            device.limit(trainer._networks.unet)
            return train(trainer, 2, keep, tell=lambda progress: None, check=lambda: None), said, device

    return taught


def test_the_ladder_ends_with_single_pictures():
    assert ladder(False, 3) == [Economy(), Economy(True), Economy(True, 2), Economy(True, 3)]
    assert ladder(True, 1) == [Economy(True)]


def test_a_step_that_does_not_fit_is_computed_more_frugally_and_comes_to_the_same(teach):
    whole, said, _ = teach()
    assert said == [] and whole.record["economy"] == {"checkpointing": False, "pieces": 1}
    # the batches hold two pictures, in a batch size of four
    for limits, economy, words in (
        ({"pictures": 1}, Economy(True), ["gradient checkpointing"]),
        ({"pictures": 1, "checkpointed": 1}, Economy(True, 2), ["gradient checkpointing", "batches in 2 pieces"]),
    ):
        frugal, said, device = teach(**limits)
        assert frugal.record["economy"] == {"checkpointing": economy.checkpointing, "pieces": economy.pieces}
        assert len(said) == len(words) == device.freed and all(word in text for word, text in zip(words, said, strict=True))
        for name, tensor in whole.part("adapter").items():
            assert torch.allclose(tensor, frugal.part("adapter")[name], atol=1e-5), name


def test_a_frugal_training_goes_on_frugally(checkpoint, four, teach, memory):
    state, _, _ = teach(pictures=1, checkpointed=1)
    with open_trainer(memory, checkpoint.model, checkpoint.clip, four, LARGE) as trainer:
        trainer.load(state)
        assert trainer._economy == Economy(True, 2) and trainer._networks.unet.is_gradient_checkpointing


def test_what_fits_in_no_way_stops_before_its_step(checkpoint, memory, four):
    device, keep = Small(memory, pictures=0, checkpointed=0), Checkpoint()
    with open_trainer(device, checkpoint.model, checkpoint.clip, four, LARGE) as trainer:
        device.limit(trainer._networks.unet)
        before = trainer.state()
        with pytest.raises(OutOfMemory, match="A training step does not fit"):
            trainer.advance()
        assert all(torch.equal(tensor, before.tensors[name]) for name, tensor in trainer.state().tensors.items())
    assert keep.load() is None


def test_too_little_memory_is_told_before_the_first_step(teach):
    with pytest.raises(OutOfMemory, match=r"needs at least \d+\.\d GiB .* of which 0\.0 GiB are free"):
        teach(free=2**16)


def test_a_step_that_will_not_fit_is_frugal_from_the_start(checkpoint, memory, four, teach):
    with open_trainer(memory, checkpoint.model, checkpoint.clip, four, LARGE) as trainer:
        estimate, area = trainer._estimate(), trainer._data.largest_area
    plain, frugal = (estimate.bytes(economy, area, 4) for economy in (Economy(), Economy(True)))
    assert frugal < 0.7 * plain
    state, said, _ = teach(free=round(1.2 * frugal) + 1)
    assert state.record["economy"] == {"checkpointing": True, "pieces": 1}
    assert len(said) == 1 and "gradient checkpointing" in said[0]


def test_the_estimate_is_what_autograd_keeps(checkpoint, memory, four):
    """Beside a count of the bytes that a whole step's forward pass leaves, by pictures of another size than it was measured with."""
    with open_trainer(memory, checkpoint.model, checkpoint.clip, four, recipe(batch_size=2)) as trainer:
        estimate = trainer._estimate()
        small, between, large = (trainer._activations(side) for side in (8, 24, 32))
        for side, found in ((24, between), (32, large)):
            for economy in (Economy(), Economy(True)):
                expected = estimate.bytes(economy, side * side, 1) - 2 * estimate.trained - estimate.gradients
                assert found.of(economy) == pytest.approx(expected, rel=0.1), (side, economy)
    assert small == estimate.small[1] and small.plain < between.plain < large.plain


def test_an_estimate_grows_with_area_pictures_and_what_is_trained():
    estimate = Estimate((10, Activations(100, 50)), (20, Activations(180, 60)), trained=7, gradients=5)
    assert estimate.bytes(Economy(), 30, 1) == 260 + 19
    assert estimate.bytes(Economy(True, 2), 30, 3) == 2 * 70 + 19

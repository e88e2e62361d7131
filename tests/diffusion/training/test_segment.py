"""What stops a segment, and what it leaves to go on from."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.diffusion.training import segment
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.segment import train
from engine.errors import MissingFile, NodeFailed, Preempted
from engine.graph.cache import Cache
from engine.graph.checkpoint import Checkpoint
from engine.graph.disk_tier import DiskTier
from engine.values.store import SafetensorsStore
from engine.values.training import Adapter, Objective, Optimizer, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.test_trainer import assert_same

SETTINGS = recipe(
    Adapter(rank=2, text_encoder=True, dropout=0.1, rank_dropout=0.1),
    Objective(noise_offset=0.1, stratified=True),
    Optimizer(rate=1e-3, text_rate=1e-4, ema=0.9, text_share=0.7),
    accumulation=2,
    checkpointing=True,
    validate_every=2,
)


@pytest.fixture
def school(checkpoint, memory, pictures):
    """Trains up to a step by SETTINGS with new networks; prepare(trainer) may spoil something."""

    def teach(until, keep, *, prepare=lambda trainer: None, check=lambda trainer: None, settings=SETTINGS):
        with open_trainer(memory, checkpoint.model, checkpoint.clip, pictures, settings) as trainer:
            prepare(trainer)
            return train(trainer, until, keep, tell=lambda progress: None, check=lambda: check(trainer))

    return teach


STRAIGHT: dict[int, TrainingState] = {}


@pytest.fixture
def straight(run):
    """The state at a step of a training by SETTINGS that nothing stopped; each is trained once."""

    def state(step: int) -> TrainingState:
        if step not in STRAIGHT:
            STRAIGHT[step] = run(SETTINGS, step)
        return STRAIGHT[step]

    return state


def at(step: int, error: BaseException):
    def raise_there(trainer) -> None:
        if trainer.step == step:
            raise error

    return raise_there


def test_six_steps_with_everything_are_the_same_however_often_they_make_way(school, straight):
    """With the text encoder for a part of the training, averages, gradient checkpointing, accumulation and every dropout."""
    keep = Checkpoint()
    for step in (1, 4):
        with pytest.raises(Preempted):
            school(6, keep, check=at(step, Preempted("The job makes way.")))
    assert keep.load().step == 4
    assert_same(school(6, keep), straight(6))


def test_any_error_before_the_weights_move_leaves_the_last_good_state(school, straight):
    def no_file(trainer) -> None:
        batch = trainer._data.batch
        trainer._data.batch = lambda number: batch(number) if trainer.step < 1 else at(1, MissingFile("It is gone."))(trainer)

    def no_gradient(trainer) -> None:
        trainer._parameters[0].register_hook(lambda gradient: at(1, RuntimeError("The device is gone."))(trainer))

    for spoiled in ({"check": at(1, KeyboardInterrupt())}, {"prepare": no_file}, {"prepare": no_gradient}):
        keep = Checkpoint()
        with pytest.raises((KeyboardInterrupt, MissingFile, RuntimeError)):
            school(4, keep, **spoiled)
        assert_same(keep.load(), straight(1))


def test_an_error_while_weights_move_leaves_the_state_from_before(school, monkeypatch):
    """Half a step is no state."""
    monkeypatch.setattr(segment, "KEEP_SECONDS", 0.0)
    keep = Checkpoint()

    def torn(trainer) -> None:
        step = trainer._optimizer.step

        def half(*arguments, **options):
            step(*arguments, **options)
            if trainer.step == 2:
                raise RuntimeError("The device is gone.")

        trainer._optimizer.step = half

    with pytest.raises(RuntimeError):
        school(4, keep, prepare=torn)
    assert keep.load().step == 2


class SmallDisk(SafetensorsStore):
    """A disk on which files of so many bytes have room; a file that does not fit is written as far as it goes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, path: Path, tensors) -> None:
        super().write(path, tensors)
        if path.stat().st_size > self.room:
            path.write_bytes(path.read_bytes()[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_the_training_by_name_and_leaves_the_last_state(school, straight, monkeypatch, tmp_path):
    monkeypatch.setattr(segment, "KEEP_SECONDS", 0.0)
    store, filling = SmallDisk(2**40), True
    cache = Cache(0, DiskTier(tmp_path / "cache", store))

    def save(state) -> None:
        store.room = 1000 if state.step == 2 and filling else 2**40
        cache.save_state(b"digest", state)

    keep = Checkpoint(load=lambda: cache.load_state(b"digest"), save=save)
    with pytest.raises(NodeFailed, match=r"at step 2 could not be kept: .*No space left on device.* Kept is that of step 1"):
        school(3, keep)
    assert_same(cache.load_state(b"digest"), straight(1))
    assert len(list((tmp_path / "cache").glob("??/*"))) == 1
    cache.close()
    filling = False
    cache = Cache(0, DiskTier(tmp_path / "cache", store))
    assert_same(school(3, keep), straight(3))
    cache.close()


def test_a_state_larger_than_the_whole_cache_is_told(school, tmp_path):
    cache = Cache(0, DiskTier(tmp_path / "cache", SafetensorsStore(), limit=1000))
    keep = Checkpoint(load=lambda: cache.load_state(b"digest"), save=lambda state: cache.save_state(b"digest", state))
    with pytest.raises(NodeFailed, match="larger than the whole disk cache") as caught:
        school(2, keep, check=at(1, Preempted("The job makes way.")))
    assert "disk_cache" in caught.value.hint
    cache.close()


def test_nothing_is_written_when_nothing_was_done(school):
    keep = Checkpoint()
    with pytest.raises(Preempted):
        school(2, keep, check=at(0, Preempted("The job makes way.")))
    assert keep.load() is None

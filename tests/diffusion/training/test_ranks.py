"""Data-parallel training: two processes that share a batch come to what one process comes to with all of it."""

from __future__ import annotations

import multiprocessing
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.diffusion.training.crew import Work, _devices, open_crew
from engine.diffusion.training.ranks import divided
from engine.diffusion.training.segment import train
from engine.errors import InvalidInput, NodeFailed
from engine.graph.checkpoint import Checkpoint
from engine.values.dataset import CaptionPolicy
from engine.values.training import Adapter, Optimizer, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import random_set

# not Adam, which makes a step of any gradient, also of one that is nothing but rounding
SETTINGS = Adapter(rank=4, text_encoder=True), Optimizer(name="SGD", rate=1.0, text_rate=1.0, schedule="constant", warmup=0)


def settings(**plan):
    return recipe(SETTINGS[0], optimizer=SETTINGS[1], accumulation=2, **plan)


def unheard(text: str, hint: str) -> None:
    raise AssertionError(text)


def test_rows_are_divided_without_rest():
    assert divided(slice(0, 5), 2) == [slice(0, 2), slice(2, 5)]
    assert divided(slice(2, 3), 3) == [slice(2, 2), slice(2, 2), slice(2, 3)]


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [device.index for device in _devices(torch.device("cuda:1"), 2)] == [1, 2]
    with pytest.raises(InvalidInput, match="3 processes need as many graphics devices from cuda:1 on, and 3 are here"):
        _devices(torch.device("cuda:1"), 3)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(checkpoint, memory, run, tmp_path):
    """Also after a stop: the second half goes on from the state that the first left, in new processes."""
    data = random_set(tmp_path, 4, policy=CaptionPolicy())
    whole = run(settings(batch_size=2), 3, data=data).part("adapter")
    keep = Checkpoint()
    work = Work(checkpoint.model, checkpoint.clip, data, settings(batch_size=1, processes=2))

    def stop() -> None:
        if trainer.step == 2:
            raise KeyboardInterrupt

    with open_crew(memory, work, None, unheard) as trainer, pytest.raises(KeyboardInterrupt):
        train(trainer, 3, keep, tell=lambda progress: None, check=stop)
    assert keep.load().step == 2
    with open_crew(memory, work, None, unheard) as trainer:
        shared = train(trainer, 3, keep, tell=lambda progress: None, check=lambda: None).part("adapter")
    assert max(tensor.abs().max() for name, tensor in whole.items() if "lora_up" in name) > 1e-4
    for name, tensor in whole.items():
        assert torch.allclose(shared[name], tensor, atol=1e-5), name


@pytest.mark.slow
def test_what_stops_another_process_is_told(checkpoint, memory, tmp_path):
    data = random_set(tmp_path, 2, policy=CaptionPolicy(), flip=False)
    bad = load_file(data.latents[1][0])
    save_file({**bad, "mean": torch.full_like(bad["mean"], float("nan"))}, data.latents[1][0])
    work = Work(checkpoint.model, checkpoint.clip, data, settings(batch_size=1, processes=2))
    # each batch holds both pictures, so one of the processes meets the bad one
    with open_crew(memory, work, None, unheard) as trainer, pytest.raises((NodeFailed, InvalidInput), match=r"for picture1\.png"):
        trainer.advance()
    assert trainer.step == 0


@pytest.mark.slow
def test_processes_compute_frugally_too_and_one_that_is_killed_is_named(checkpoint, memory, run, tmp_path):
    """Gradient checkpointing and single pictures, where each process has two."""
    data = random_set(tmp_path, 4, policy=CaptionPolicy(), flip=False)
    whole = run(settings(batch_size=4), 1, data=data).part("adapter")
    work = Work(checkpoint.model, checkpoint.clip, data, settings(batch_size=2, processes=2))
    with open_crew(memory, work, None, unheard) as trainer:
        begun = trainer.state()
        trainer.load(TrainingState(begun.tensors, {**begun.record, "economy": {"checkpointing": True, "pieces": 2}}))
        trainer.advance()
        state = trainer.state()
        (process,) = (child for child in multiprocessing.active_children() if child.name == "easel-rank-1")
        process.kill()
        with pytest.raises(NodeFailed, match="Process 1 of the training, on cpu, ended: it was ended by SIGKILL"):
            trainer.advance()
    assert state.record["economy"] == {"checkpointing": True, "pieces": 2}
    for name, tensor in whole.items():
        assert torch.allclose(state.part("adapter")[name], tensor, atol=1e-5), name


class Unreadable:
    """Arrives nowhere: another process ends while it is still reading what it is to do."""

    def __reduce__(self):
        return exec, ("raise SystemExit(7)",)


@pytest.mark.slow
def test_a_process_that_ends_before_it_begins_is_noticed_at_once(checkpoint, memory, tmp_path):
    work = Work(checkpoint.model, Unreadable(), random_set(tmp_path, 2), settings(batch_size=1, processes=2))
    began = time.monotonic()
    with (
        pytest.raises(NodeFailed, match="Process 1 of the training, on cpu, ended: exit code 7"),
        open_crew(memory, work, None, unheard),
    ):
        pass
    assert time.monotonic() - began < 300  # and not the ten minutes that processes wait for each other

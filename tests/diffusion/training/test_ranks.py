"""Data-parallel training: two processes that share a batch come to what one process comes to with all of it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import multiprocessing

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.opening import open_trainer
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.dataset import CaptionPolicy
from engine.values.training import Adapter, Optimizer
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import random_set

STEPS = 3


def train(folder: str, batch_size: int, ranks: object) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")
    # not Adam, which makes a step of any gradient, also of one that is nothing but rounding
    optimizer = Optimizer(name="SGD", rate=1.0, text_rate=1.0, schedule="constant", warmup=0)
    settings = recipe(Adapter(rank=4, text_encoder=True), optimizer=optimizer, batch_size=batch_size, accumulation=2)
    data = random_set(Path(folder), 4, policy=CaptionPolicy())
    memory = Memory(choose("cpu", "fp32"))
    with open_trainer(memory, checkpoint.model, checkpoint.clip, data, settings, ranks=ranks) as trainer:  # type: ignore[arg-type]
        for _ in range(STEPS):
            trainer.advance()
        return dict(trainer.state().part("adapter"))


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="true"
    )
    torch.set_num_threads(1)
    from accelerate import PartialState

    from engine.diffusion.training.ranks import Parallel

    ranks = Parallel(PartialState(cpu=True, backend="gloo"))
    assert ranks.count == 2
    own = Path(folder) / f"rank{rank}"
    own.mkdir()
    save_file(train(str(own), 1, ranks), f"{folder}/{rank}.safetensors")


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    from engine.diffusion.training.ranks import ALONE

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    whole = train(str(tmp_path), 2, ALONE)
    moved = max(tensor.abs().max() for name, tensor in whole.items() if "lora_up" in name)
    assert moved > 1e-4
    for name, tensor in whole.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], tensor, atol=1e-5), name

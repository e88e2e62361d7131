from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Recipe
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.dataset import TrainingSet
from engine.values.model import Model
from engine.values.training import TrainingState
from tests.diffusion.training.sets import random_set


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")


@pytest.fixture(scope="session")
def memory() -> Memory:
    return Memory(choose("cpu", "fp32"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> TrainingSet:
    """Shuffled captions, caption dropout, flips, two buckets."""
    folder: Path = tmp_path_factory.mktemp("latents")
    return random_set(folder)


Run = Callable[..., TrainingState]


@pytest.fixture
def run(checkpoint: Checkpoint, memory: Memory, pictures: TrainingSet) -> Run:
    """Train by a recipe up to each of some steps, with new networks and a new optimizer each time; the last state."""

    def train(
        settings: Recipe,
        *stops: int,
        data: TrainingSet | None = None,
        start: Any = None,
        state: TrainingState | None = None,
        model: Model | None = None,
    ) -> TrainingState:
        for stop in stops:
            with open_trainer(memory, model or checkpoint.model, checkpoint.clip, data or pictures, settings, start) as trainer:
                if state is not None:
                    trainer.load(state)
                while trainer.step < stop:
                    trainer.advance()
                state = trainer.state()
        assert state is not None
        return state

    return train

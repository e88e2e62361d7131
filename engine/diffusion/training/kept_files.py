"""Files of an adapter as it was at several steps of its training, of which only the newest may stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.diffusion.training.entry_cache import key_of
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.weights_file import read_header
from engine.errors import EaselError
from engine.values.dataset import TrainingSet
from engine.values.model import Model

TRAINING_KEY = "easel.training"
"""In the header of such a file: which training wrote it."""
STEP_KEY = "ss_steps"


def training_of(recipe: Recipe, model: Model, data: TrainingSet) -> str:
    """What tells a training from others: its settings, the model, the pictures with their captions."""
    patches = [repr(patch.key) for patch in model.patches]
    return key_of(recipe.model_dump(mode="json"), model.weights.to_json(), patches, pictures_of(data))


def pictures_of(data: TrainingSet) -> list[list[Any]]:
    """What tells the pictures of a training from others, with their captions."""
    return [[example.digest, example.captions] for example in data.dataset.examples]


def steps_of(folder: Path, prefix: str, training: str) -> dict[int, Path]:
    """The files of a training in a folder whose names begin so, by step. Files of others, and such as cannot be read, do not count."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.startswith(prefix) or path.suffix != ".safetensors":
            continue
        try:
            metadata = read_header(path).metadata
        except EaselError:
            continue
        if metadata.get(TRAINING_KEY) == training and metadata.get(STEP_KEY, "").isdecimal():
            found[int(metadata[STEP_KEY])] = path
    return found


def is_kept(step: int, others: dict[int, Path], keep_last: int) -> bool:
    """Whether the file of a step is among the newest; keep_last 0: all are kept."""
    return not keep_last or sum(other > step for other in others) < keep_last


def drop_older(found: dict[int, Path], keep_last: int) -> list[Path]:
    """Remove all but the newest files; which they were."""
    dropped = [found[step] for step in sorted(found)[:-keep_last]] if keep_last else []
    for path in dropped:
        path.unlink(missing_ok=True)
    return dropped

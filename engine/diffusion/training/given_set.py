"""A training set of latents and encoded prompts that a graph made, instead of pictures in files."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.diffusion.training.entry_cache import EntryCache, hold, key_of, paths_of
from engine.errors import InvalidInput
from engine.values.checksum import sum_of
from engine.values.conditioning import Conditioning
from engine.values.dataset import Bucket, Cut, Dataset, Example, TrainingSet
from engine.values.latent import Latent

EXACT = -80.0
"""The logarithm of a variance that adds nothing to a latent in float32."""
PIXELS = 8
PLAIN: dict[str, Any] = {
    "area": None, "mask": None, "strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, "steps": None, "fill": False, "control": None
}  # fmt: skip
"""Fields of a condition that say where, when and how much it counts, as they are where it counts everywhere."""


def given_set(latent: Latent, positive: Conditioning, cache: EntryCache, family: str) -> TrainingSet:
    """Each latent with the prompt of the same number, or all with the only prompt.

    Raises InvalidInput for other counts, and for masks, areas and times, by which nothing is trained.
    """
    samples, prompts = latent.samples.float(), list(positive)
    if not len(samples) or len(prompts) not in (1, len(samples)):
        raise InvalidInput(f"{len(samples)} latents do not go with {len(prompts)} prompts.", hint="Give one prompt, or one for each.")
    if latent.noise_mask is not None:
        raise InvalidInput(
            "The mask on the latents would have no effect.", hint="Take it off, or train with Train LoRA on a dataset with masks."
        )
    for number, condition in enumerate(prompts):
        if unused := [field for field, plain in PLAIN.items() if getattr(condition, field) != plain]:
            raise InvalidInput(
                f"{' and '.join(unused)} of prompt {number} would have no effect on the training.",
                hint="Connect the prompt as it was encoded.",
            )
    height, width = (side * PIXELS for side in samples.shape[2:])
    bucket, cut = Bucket(width, height, width, height), Cut(width, height, 0, 0, width, height)
    texts: dict[str, str] = {}
    examples, files = [], []
    for number, sample in enumerate(samples):
        caption = f"prompt {number % len(prompts)}"
        condition = prompts[number % len(prompts)]
        pooled = {} if condition.pooled is None else {"pooled": condition.pooled}
        texts[caption] = _kept(cache, {"context": condition.context, **pooled})
        path = _kept(cache, {"mean": sample.contiguous(), "logvar": torch.full_like(sample, EXACT)})
        examples.append(Example(f"latent {number}", path, path, width, height, (caption,), bucket=bucket))
        files.append((path,))
    made = TrainingSet(Dataset(tuple(examples)), ((cut,),) * len(files), tuple(files), texts, family=family)
    hold(made)
    cache.trim(paths_of(made))
    return made


def _kept(cache: EntryCache, tensors: dict[str, Tensor]) -> str:
    return str(cache.get(key_of("given", sum_of(tensors)), lambda: tensors))

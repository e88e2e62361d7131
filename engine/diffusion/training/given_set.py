"""A training set of latents and encoded prompts that a graph made, instead of pictures in files."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.diffusion.training.entry_cache import EntryCache, hold, key_of, sum_of
from engine.errors import InvalidInput
from engine.values.conditioning import Conditioning
from engine.values.dataset import Bucket, Cut, Dataset, Example, TrainingSet
from engine.values.latent import Latent

EXACT = -80.0
"""The logarithm of a variance that adds nothing to a latent in float32."""
PIXELS = 8


def given_set(latent: Latent, positive: Conditioning, cache: EntryCache, family: str) -> TrainingSet:
    """Each latent with the prompt of the same number, or all with the only prompt. Raises InvalidInput for other counts."""
    samples, prompts = latent.samples.float(), list(positive)
    if not len(samples) or len(prompts) not in (1, len(samples)):
        raise InvalidInput(f"{len(samples)} latents do not go with {len(prompts)} prompts.", hint="Give one prompt, or one for each.")
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
    return made


def _kept(cache: EntryCache, tensors: dict[str, Tensor]) -> str:
    return str(cache.get(key_of("given", sum_of(tensors)), lambda: tensors))

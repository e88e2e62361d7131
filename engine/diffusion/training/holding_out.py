"""Pictures that are not trained on, so that the loss on them tells whether a training learns or only remembers."""

from __future__ import annotations

import random
from dataclasses import replace

from engine.diffusion.training.entry_cache import key_of
from engine.errors import InvalidInput
from engine.values.dataset import Dataset


def held_out(dataset: Dataset, share: float, seed: int = 0) -> Dataset:
    """The dataset with a share of the subject's pictures kept back for validation, at least one. Copies of a picture stay together.

    Which they are follows from the pictures and the seed. Raises InvalidInput if none would be left to train on.
    """
    digests = sorted({example.digest for example in dataset.examples if not example.regularisation})
    chosen = set(random.Random(key_of("held out", seed)).sample(digests, min(len(digests), max(1, round(share * len(digests))))))
    if len(chosen) == len(digests):
        raise InvalidInput(
            f"Of {len(digests)} pictures {len(chosen)} would be held out, and none trained on.", hint="Hold out fewer, or add pictures."
        )
    examples = tuple(
        replace(example, held_out=True) if example.digest in chosen and not example.regularisation else example
        for example in dataset.examples
    )
    return replace(dataset, examples=examples)

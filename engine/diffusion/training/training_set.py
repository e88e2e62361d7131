"""From a dataset to a training set: every cut of every picture through the VAE, every caption through the text encoder, once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.diffusion.memory import Memory
from engine.diffusion.text.encode import encode
from engine.diffusion.training import captions
from engine.diffusion.training.dataset_folder import listed
from engine.diffusion.training.entry_cache import EntryCache, hold, key_of, paths_of
from engine.diffusion.training.pictures import Upright, cuts_of, mask_of, mask_picture, pixels_of, read_unchanged
from engine.diffusion.vae import factor_of, posterior
from engine.errors import EaselError, InvalidInput
from engine.values.checksum import sum_of
from engine.values.dataset import CaptionPolicy, Cut, Dataset, Example, TrainingSet
from engine.values.model import Clip, Vae

Progress = Callable[[int, int], None]


def prepare(
    memory: Memory,
    dataset: Dataset,
    vae: Vae,
    clip: Clip | None,
    cache: EntryCache,
    *,
    caption_variants: int = 16,
    max_pixels: int = 100_000_000,
    progress: Progress = lambda done, total: None,
) -> TrainingSet:
    """Encode what is not in the cache yet.

    clip: None leaves the texts to the trainer. caption_variants: draws that are kept of a caption that varies.
    progress(done, total) is called after each picture and caption.
    Raises InvalidInput, naming all of them, for pictures that cannot be read or encoded.
    """
    _check(dataset, clip, caption_variants)
    texts = [] if clip is None else _captions(dataset, caption_variants)
    total = len(dataset.examples) + len(texts)
    cuts = tuple(cuts_of(example) for example in dataset.examples)
    latents: list[tuple[str, ...]] = []
    faults: list[str] = []
    for example, own in zip(dataset.examples, cuts, strict=True):
        try:
            latents.append(_latents(memory, vae, cache, example, own, max_pixels))
        except EaselError as error:
            faults.append(f"{example.name}: {error.message}")
        progress(len(latents) + len(faults), total)
    if faults:
        raise InvalidInput(f"{len(faults)} pictures cannot be trained on. {listed(faults)}", hint="Replace them, or leave them out.")
    encoded = None
    if clip is not None:
        encoded = {}
        for text in texts:
            encoded[text] = _text(memory, clip, cache, text)
            progress(len(latents) + len(encoded), total)
    made = TrainingSet(dataset, cuts, tuple(latents), encoded, caption_variants if clip else 0, vae.weights.family)
    hold(made)
    cache.trim(paths_of(made))
    return made


def _check(dataset: Dataset, clip: Clip | None, caption_variants: int) -> None:
    if all(example.regularisation or example.held_out for example in dataset.examples):
        raise InvalidInput("The dataset has no picture to train on.", hint="Add pictures that are not for regularisation and not held out.")
    if clip is None:
        return
    for example in dataset.examples:
        if example.policy.warmup_steps:
            raise InvalidInput(
                f"The captions of {example.name} grow with the steps (warmup_steps), so they cannot be encoded beforehand.",
                hint="Leave the input clip open, or set warmup_steps to 0.",
            )
        if example.policy.varies and not caption_variants:
            raise InvalidInput(
                f"The captions of {example.name} vary with each draw, so they cannot be encoded beforehand.",
                hint="Leave the input clip open, or set caption_variants to the number of draws to prepare.",
            )


def caption_of(example: Example, variant: int, variants: int) -> str:
    """One of the `variants` prepared draws of an example's caption; it follows from the caption and its policy alone."""
    number = variant % variants if example.policy.varies else 0
    rng = random.Random(key_of("caption", example.captions, asdict(example.policy), number))
    return captions.draw(example.captions, example.policy, rng)


def _captions(dataset: Dataset, variants: int) -> list[str]:
    """Every caption that may be drawn, each once."""
    found: dict[str, None] = {}
    for example in dataset.examples:
        count = variants if example.policy.varies else 1
        found.update(dict.fromkeys(caption_of(example, number, count) for number in range(count)))
        if drops(example.policy):
            found[""] = None
    return list(found)


def drops(policy: CaptionPolicy) -> bool:
    """Whether some draws have no caption at all."""
    return policy.dropout > 0 or policy.dropout_every_n_epochs > 0


def _latents(memory: Memory, vae: Vae, cache: EntryCache, example: Example, cuts: tuple[Cut, ...], max_pixels: int) -> tuple[str, ...]:
    factor = factor_of(vae)
    if any(cut.width % factor or cut.height % factor for cut in cuts):
        raise InvalidInput(f"its bucket {cuts[0].width} x {cuts[0].height} does not divide by {factor}", hint="Use another bucket step.")
    opened: list[Upright] = []  # decoded only if an entry is missing

    def upright() -> Upright:
        if not opened:
            opened.append(read_unchanged(Path(example.path), example.digest, max_pixels))
        return opened[0]

    def make(cut: Cut) -> dict[str, Tensor]:
        mean, logvar = posterior(memory, vae, pixels_of(upright(), cut))
        if not (mean.isfinite().all() and logvar.isfinite().all()):
            raise InvalidInput("the VAE gives numbers that are not finite", hint="Use --precision fp32, or another VAE.")
        mask = mask_picture(example, upright(), max_pixels)
        return {"mean": mean[0], "logvar": logvar[0], **({} if mask is None else {"mask": mask_of(mask, cut, factor)})}

    mask = None if example.mask is None else [example.mask.source, example.mask.digest]
    identity = [example.digest, mask, vae.weights.to_json(), str(memory.numerics.vae)]
    return tuple(str(cache.get(key_of("latent", asdict(cut), *identity), partial(make, cut))) for cut in cuts)


def _text(memory: Memory, clip: Clip, cache: EntryCache, text: str) -> str:
    def make() -> dict[str, Tensor]:
        condition = encode(memory, clip, text)[0]
        if not condition.context.isfinite().all():
            raise InvalidInput(f"The text encoder gives numbers that are not finite for {text!r}.", hint="Use --precision fp32.")
        pooled = {} if condition.pooled is None else {"pooled": condition.pooled}
        return {"context": condition.context, **pooled}

    return str(cache.get(key_of("text", text, _identity(memory, clip)), make))


def _identity(memory: Memory, clip: Clip) -> Mapping[str, Any]:
    return {
        "weights": clip.weights.to_json(),
        "patches": [repr(patch.key) for patch in clip.patches],
        "embeddings": [[embedding.name, sum_of(embedding.vectors)] for embedding in clip.embeddings],
        "skip": clip.skip,
        "dtype": [str(memory.numerics.text), str(memory.numerics.text_rounding)],
    }

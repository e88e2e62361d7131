"""What is trained on at each step: a pure function of the training set, the seed, the batch size and the step.

So a training that goes on from step n sees what it would have seen, on any number of processes.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.diffusion.families import KINDS
from engine.diffusion.training import captions
from engine.diffusion.training.entry_cache import hold, key_of
from engine.diffusion.training.training_set import caption_of
from engine.errors import InvalidInput, MissingFile
from engine.values.dataset import Example, TrainingSet, bucket_of

Size = tuple[int, int]
FIXED_BATCHES = 2
HELD_OUT_BATCHES = 16
MOST_DRAWS = 10_000_000
"""Of an epoch: its order is kept in memory."""
KEPT_BYTES = 2**30
"""Of prepared tensors, kept in main memory while training; beyond it they are read from the disk at each draw."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of one size. B of them; all tensors float32 on the CPU unless said otherwise.

    latents: [B, C, h, w] drawn from the VAE's posterior, in the network's space.
    captions: prompts, as `engine.diffusion.text.encode` reads them; brackets that weigh nothing are escaped.
    context, pooled: [B, N, D] and [B, P], the encoded captions, as a Condition holds them; None where texts are encoded live.
    mask: [B, 1, h, w] in 0..1, how much of each place counts; None where no example of the batch has one.
    weight: [B], each example's weight (that of prior preservation for regularisation, the share of a short batch).
    is_regularisation: [B] bool.
    original_size, crop, target_size: [B, 2] int64, (height, width) or (top, left) in pixels: what SDXL is told of a picture.
    examples: positions in `dataset.examples`.
    """

    latents: Tensor
    captions: list[str]
    context: Tensor | None
    pooled: Tensor | None
    mask: Tensor | None
    weight: Tensor
    is_regularisation: Tensor
    original_size: Tensor
    crop: Tensor
    target_size: Tensor
    examples: tuple[int, ...]

    @property
    def sizes(self) -> Tensor:
        """[B, 6] float32: original size, crop and target size."""
        return torch.cat([self.original_size, self.crop, self.target_size], dim=1).float()


class Draw(NamedTuple):
    """One example of a batch: its number, the number of its cut, its caption, and the seed of its latent's noise."""

    example: int
    cut: int
    caption: str
    seed: int


class Batches:
    """Endless batches. Epochs count from 0; in each, every picture comes as often as its repeats say, in another order.

    Regularisation pictures come as often as all others together, each as often as any other over the epochs, however few or many
    there are.
    """

    def __init__(self, training_set: TrainingSet, *, batch_size: int, seed: int) -> None:
        """Raises InvalidInput if there would be no batch at all (short ones dropped), or an epoch that never ends."""
        if (draws := sum(example.repeats for example in training_set.dataset.examples)) > MOST_DRAWS:
            raise InvalidInput(f"An epoch would draw {draws:,} pictures; at most {MOST_DRAWS:,} are allowed.", hint="Repeat them less.")
        hold(training_set)
        self.training_set = training_set
        self.batch_size = batch_size
        self.seed = seed
        self._examples = training_set.dataset.examples
        self._held_out = [number for number, example in enumerate(self._examples) if example.held_out]
        self._epochs = _Epochs(self._examples, batch_size, training_set.dataset.short_batches == "drop")
        self._orders: dict[int, list[list[int]]] = {}
        self._read: dict[str, dict[str, Tensor]] = {}
        self._read_bytes = 0
        self._format = KINDS[training_set.family].latent_format
        self.epoch_length = self._epochs.length(0)
        """Batches in the first epoch; with regularisation over several buckets later ones may differ by a few."""
        if not self.epoch_length:
            raise InvalidInput(
                f"No bucket holds a full batch of {batch_size}, and short batches are dropped.",
                hint="Lower the batch size, or choose another rule for short batches.",
            )

    def batch(self, step: int) -> Batch:
        """The batch of a step (one forward pass; steps count from 0), for all processes together.

        Raises MissingFile if a prepared file is gone.
        """
        draws = self.draws(step)
        return self._batch(draws, len(draws) / self.batch_size if self.training_set.dataset.short_batches == "scale" else 1.0)

    def validation(self) -> list[Batch]:
        """Batches to measure the loss on, always the same: of the pictures that were held out, one draw of each; without such the first
        batches of the training."""
        if not self._held_out:
            return [self.batch(number) for number in range(FIXED_BATCHES)]
        sizes: dict[Size, list[int]] = {}
        for number in self._held_out:
            sizes.setdefault(bucket_of(self._examples[number]).size, []).append(number)
        groups = [own[start : start + self.batch_size] for _, own in sorted(sizes.items()) for start in range(0, len(own), self.batch_size)]
        return [self._batch([self._kept_draw(number) for number in group]) for group in groups[:HELD_OUT_BATCHES]]

    def _kept_draw(self, number: int) -> Draw:
        """The one draw of a picture that is held out: its first cut, its caption without dropping."""
        example = self._examples[number]
        rng = self._random("held out", number)
        variants = self.training_set.caption_variants
        caption = (
            caption_of(example, 0, variants) if variants else captions.draw(example.captions, replace(example.policy, warmup_steps=0), rng)
        )
        return Draw(number, 0, caption, rng.getrandbits(63))

    def _batch(self, draws: Sequence[Draw], share: float = 1.0) -> Batch:
        """share: a factor of every weight."""
        examples = [self._examples[draw.example] for draw in draws]
        cuts = [self.training_set.cuts[draw.example][draw.cut] for draw in draws]
        entries = [self._entry(self.training_set.latents[draw.example][draw.cut]) for draw in draws]
        texts = self.training_set.texts
        encoded = None if texts is None else [self._entry(texts[draw.caption]) for draw in draws]
        return Batch(
            latents=self._format.process_in(torch.stack([_sampled(entry, draw.seed) for entry, draw in zip(entries, draws, strict=True)])),
            captions=[draw.caption for draw in draws],
            context=None if encoded is None else stacked_contexts([entry["context"] for entry in encoded]),
            pooled=None if encoded is None or "pooled" not in encoded[0] else torch.cat([entry["pooled"] for entry in encoded]),
            mask=_masks(entries),
            weight=torch.tensor([example.weight * share for example in examples]),
            is_regularisation=torch.tensor([example.regularisation for example in examples]),
            original_size=torch.tensor([(example.height, example.width) for example in examples]),
            crop=torch.tensor([cut.crop for cut in cuts]),
            target_size=torch.tensor([(cut.height, cut.width) for cut in cuts]),
            examples=tuple(draw.example for draw in draws),
        )

    @property
    def largest_area(self) -> int:
        """Of a latent, in its own pixels."""
        batch = self.batch(0)
        pixels = max(bucket_of(example).width * bucket_of(example).height for example in self._examples)
        return math.ceil(pixels * batch.latents[0, 0].numel() / int(batch.target_size[0].prod()))

    def draws(self, step: int) -> list[Draw]:
        """What the batch of a step is made of, without reading a file."""
        epoch, position = self.locate(step)
        return [self._draw(number, step, epoch, slot) for slot, number in enumerate(self._order(epoch)[position])]

    def locate(self, step: int) -> tuple[int, int]:
        """The epoch of a step, counted from 0, and the step's position in it."""
        return self._epochs.locate(step)

    def _draw(self, number: int, step: int, epoch: int, slot: int) -> Draw:
        example = self._examples[number]
        rng = self._random("draw", step, slot)
        cut = rng.randrange(len(self.training_set.cuts[number]))
        seed = rng.getrandbits(63)
        if captions.is_dropped(example.policy, rng, epoch=epoch):
            return Draw(number, cut, "", seed)
        variants = self.training_set.caption_variants
        if variants:
            return Draw(number, cut, caption_of(example, rng.randrange(variants), variants), seed)
        return Draw(number, cut, captions.draw(example.captions, example.policy, rng, step=step), seed)

    def _order(self, epoch: int) -> list[list[int]]:
        """The epoch's batches, as example numbers."""
        if epoch not in self._orders:
            batches = []
            for size, numbers in self._epochs.buckets(epoch).items():
                batches += self._batches_of(numbers, self._random("bucket", epoch, *size))
            self._random("order", epoch).shuffle(batches)
            self._orders = {epoch: batches}
        return self._orders[epoch]

    def _batches_of(self, items: list[int], rng: random.Random) -> list[list[int]]:
        rng.shuffle(items)
        batches = [items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)]
        missing = self.batch_size - len(batches[-1])
        match self.training_set.dataset.short_batches if missing else "keep":
            case "drop":
                batches.pop()
            case "fill":
                batches[-1] = batches[-1] + [items[number % len(items)] for number in range(missing)]
        return batches

    def _random(self, *what: object) -> random.Random:
        return random.Random(key_of(self.seed, *what))

    def _entry(self, path: str) -> dict[str, Tensor]:
        known = self._read.get(path)
        if known is not None:
            return known
        try:
            entry = load_file(path)
        except (OSError, SafetensorError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise MissingFile(
                f"The prepared file {Path(path).name} of the training set cannot be read: {why}.",
                hint="Restart Easel and run the workflow again: it will be made again.",
            ) from error
        if self._read_bytes < KEPT_BYTES:
            self._read[path] = entry
            self._read_bytes += sum(tensor.nbytes for tensor in entry.values())
        return entry

    def describe(self) -> str:
        """A table of the buckets: pictures, draws per epoch, batches and the size of the last one. Ends with the length of an epoch."""
        lines = ["bucket         pictures   per epoch   regularisation   batches   last"]
        for (width, height), numbers in self._epochs.buckets(0).items():
            others = sum(self._examples[number].regularisation for number in numbers)
            pictures = len({number for number in numbers if not self._examples[number].regularisation})
            last = len(numbers) % self.batch_size or self.batch_size
            count = math.ceil(len(numbers) / self.batch_size)
            lines.append(f"{width:>4} x {height:<4} {pictures:>12} {len(numbers):>11} {others:>16} {count:>9} {last:>6}")
        lines.append(f"{self.epoch_length} batches of {self.batch_size} are one epoch")
        return "\n".join(lines)


class _Epochs:
    """Which examples are in which epoch, by bucket, before their order.

    Regularisation pictures fill as many places as the subject has, going on in each epoch where the last one ended; so how many of
    them are in a bucket, and with it the number of batches, may differ between epochs.
    """

    def __init__(self, examples: Sequence[Example], batch_size: int, drop_short: bool) -> None:
        self._sizes = [bucket_of(example).size for example in examples]
        subject = [number for number, example in enumerate(examples) if not (example.regularisation or example.held_out)]
        self._subject = [number for number in subject for _ in range(examples[number].repeats)]
        self._others = [number for number, example in enumerate(examples) if example.regularisation for _ in range(example.repeats)]
        self._batch_size = batch_size
        self._drop_short = drop_short
        self._starts = [0]

    def buckets(self, epoch: int) -> dict[Size, list[int]]:
        """Example numbers by size (width, height), sizes sorted."""
        others = self._others
        places = len(self._subject) if others else 0
        turn = [others[(epoch * places + place) % len(others)] for place in range(places)]
        found: dict[Size, list[int]] = {}
        for number in (*self._subject, *turn):
            found.setdefault(self._sizes[number], []).append(number)
        return dict(sorted(found.items()))

    def length(self, epoch: int) -> int:
        """Batches in an epoch."""
        counts = [len(numbers) for numbers in self.buckets(epoch).values()]
        return sum(count // self._batch_size if self._drop_short else math.ceil(count / self._batch_size) for count in counts)

    def locate(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and the step's position in it."""
        if not self._others:
            return divmod(step, self.length(0))
        while self._starts[-1] <= step:
            self._starts.append(self._starts[-1] + self.length(len(self._starts) - 1))
        epoch = bisect_right(self._starts, step) - 1
        return epoch, step - self._starts[epoch]


def _sampled(entry: dict[str, Tensor], seed: int) -> Tensor:
    """A draw from the posterior, [C, h, w]."""
    noise = torch.randn(entry["mean"].shape, generator=torch.Generator().manual_seed(seed))
    return entry["mean"] + noise * (entry["logvar"] / 2).exp()


def _masks(entries: list[dict[str, Tensor]]) -> Tensor | None:
    """[B, 1, h, w], ones for entries without a mask."""
    if not any("mask" in entry for entry in entries):
        return None
    return torch.stack([entry.get("mask", torch.ones(1, *entry["mean"].shape[-2:])) for entry in entries])


def stacked_contexts(contexts: Sequence[Tensor]) -> Tensor:
    """[1, N_i, D] each -> [B, N, D]. Shorter ones are repeated whole up to a common length, which changes no cross-attention."""
    length = math.lcm(*(context.shape[1] for context in contexts))
    return torch.cat([context.repeat(1, length // context.shape[1], 1) for context in contexts])

"""Latent images as values: batches of them, and arithmetic between them. Nothing writes to its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psutil
import torch
from torch import Tensor

from engine.diffusion.pixels.resize import fit_to
from engine.diffusion.sampling.conditions import repeat_to
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.prediction import Prediction
from engine.diffusion.sampling.sample import fit_channels
from engine.errors import OutOfMemory
from engine.values.latent import Latent

SMALLEST = 8
"""Pixels of the latent that a crop leaves at least."""


def blank(batch: int, channels: int, height: int, width: int) -> Latent:
    """A batch of empty latent images. Raises OutOfMemory before anything is taken when the main memory that is free would not do."""
    size, free = batch * channels * height * width * 4, psutil.virtual_memory().available
    if size > free:
        raise OutOfMemory(
            f"{batch} latent images of {width} x {height} take {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free.",
            hint="Draw fewer or smaller pictures at once.",
        )
    return Latent(torch.zeros(batch, channels, height, width))


def indices(latent: Latent) -> tuple[int, ...]:
    """The places of a batch's images in the stream of its noise."""
    return latent.batch_index if latent.batch_index is not None else tuple(range(len(latent.samples)))


def matched(second: Latent, first: Latent, method: str = "bilinear") -> Tensor:
    """The second's samples with the size and the batch of the first: resized from the middle, cut or repeated."""
    return repeat_to(fit_to(second.samples, first.samples, method), len(first.samples))


def joined(first: Latent, second: Latent) -> Latent:
    """Both batches as one. The images keep their places in the stream of the noise."""
    samples = torch.cat([first.samples, fit_to(second.samples, first.samples)])
    return replace(first, samples=samples, batch_index=indices(first) + indices(second))


def part_of_batch(latent: Latent, first: int, count: int) -> Latent:
    """`count` images from number `first` on, as far as there are; they keep their places in the stream of the noise."""
    first = min(first, len(latent.samples) - 1)
    count = min(count, len(latent.samples) - first)
    mask = latent.noise_mask
    if mask is not None:
        mask = mask.clone() if len(mask) == 1 else repeat_to(mask, len(latent.samples))[first : first + count]
    return Latent(latent.samples[first : first + count], mask, indices(latent)[first : first + count])


def repeated(latent: Latent, amount: int) -> Latent:
    """The batch `amount` times over. Places in the stream of the noise, where given, go on behind one another."""
    mask = latent.noise_mask
    if mask is not None and len(mask) > 1:
        mask = repeat_to(mask, len(latent.samples)).repeat(amount, 1, 1, 1)
    index = latent.batch_index
    if index is not None:
        offset = max(index) - min(index) + 1
        index = tuple(place + offset * k for k in range(amount) for place in index)
    return Latent(latent.samples.repeat(amount, 1, 1, 1), mask, index)


def rebatched(latents: Sequence[Latent], size: int) -> tuple[Latent, ...]:
    """All images of several batches in batches of `size`, or fewer where the shape changes. Each keeps its mask and its place.

    Images without a place of their own are counted through all batches.
    """
    pieces: list[Latent] = []
    next_place = 0
    for latent in latents:
        count = len(latent.samples)
        places = latent.batch_index or tuple(range(next_place, next_place + count))
        next_place = max(places) + 1
        masks = None if latent.noise_mask is None else repeat_to(latent.noise_mask, count)
        pieces += [Latent(latent.samples[k : k + 1], None if masks is None else masks[k : k + 1], places[k : k + 1]) for k in range(count)]
    groups: list[list[Latent]] = []
    for piece in pieces:
        last = groups[-1] if groups else None
        if last and len(last) < size and _shapes(last[0]) == _shapes(piece):
            last.append(piece)
        else:
            groups.append([piece])
    return tuple(_stacked(group) for group in groups)


def _shapes(latent: Latent) -> tuple[torch.Size, torch.Size | None]:
    return latent.samples.shape, None if latent.noise_mask is None else latent.noise_mask.shape


def _stacked(group: Sequence[Latent]) -> Latent:
    samples = torch.cat([piece.samples for piece in group])
    masks = [piece.noise_mask for piece in group if piece.noise_mask is not None]
    return Latent(samples, torch.cat(masks) if masks else None, tuple(place for piece in group for place in indices(piece)))


def cropped(latent: Latent, width: int, height: int, x: int, y: int) -> Latent:
    """A rectangle, all in pixels of the latent; it is moved so that at least 8 of them are left, and cut at the border."""
    x = min(x, max(latent.samples.shape[-1] - SMALLEST, 0))
    y = min(y, max(latent.samples.shape[-2] - SMALLEST, 0))
    return replace(latent, samples=latent.samples[..., y : y + height, x : x + width])


def interpolated(first: Tensor, second: Tensor, ratio: float) -> Tensor:
    """`ratio` of the first and the rest of the second: directions of the pixels' vectors are mixed and made of unit length again,
    lengths are mixed on their own. Zero vectors have no direction and stay zero."""
    lengths = [samples.norm(dim=1, keepdim=True) for samples in (first, second)]
    units = [(samples / length).nan_to_num(0.0) for samples, length in zip((first, second), lengths, strict=True)]
    direction = units[0] * ratio + units[1] * (1 - ratio)
    direction = (direction / direction.norm(dim=1, keepdim=True)).nan_to_num(0.0)
    return direction * (lengths[0] * ratio + lengths[1] * (1 - ratio))


DIMENSIONS = {"x": -1, "y": -2, "t": -3}


def concatenated(first: Latent, second: Latent, direction: str) -> Latent:
    """Beside each other along x or y, or t (the dimension before them); with "-" the second comes first."""
    parts = [first.samples, repeat_to(second.samples, len(first.samples))]
    if direction.startswith("-"):
        parts.reverse()
    return replace(first, samples=torch.cat(parts, dim=DIMENSIONS[direction.removeprefix("-")]))


def cut(latent: Latent, direction: str, index: int, amount: int) -> Latent:
    """`amount` rows from `index` on, along x, y or t; a negative index counts from the end. What lies outside is left out."""
    dimension = DIMENSIONS[direction]
    extent = latent.samples.shape[dimension]
    start = min(index, extent - 1) if index >= 0 else max(index + extent, 0)
    return replace(latent, samples=latent.samples.narrow(dimension, start, min(amount, extent - start)))


def noised(latent: Latent, noise: Noise, sigmas: Tensor, prediction: Prediction, latent_format: LatentFormat) -> Latent:
    """The latent with the noise between the first and the last of the levels (of one level, all of it); with no level, as it is."""
    if not len(sigmas):
        return latent
    amount = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    samples = fit_channels(latent.samples.float(), latent_format)
    if samples.count_nonzero():
        samples = latent_format.process_in(samples)
    mixed = prediction.start(amount, noise.draw(replace(latent, samples=samples)), samples)
    return replace(latent, samples=latent_format.process_out(mixed).nan_to_num(0.0, 0.0, 0.0))

"""How far pictures [B, H, W, C] are apart, and one given the colours of another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.diffusion.pixels.resize import fit_pictures
from engine.diffusion.sampling.conditions import repeat_to


def peak_signal_to_noise(first: Tensor, second: Tensor) -> float:
    """In decibels, 1 being the peak; infinite for equal pictures."""
    error = (first - second).square().mean().item()
    return 10 * math.log10(1 / error) if error else math.inf


def aligned(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Colours only, the second at the size and the batch of the first."""
    return first[..., :3], repeat_to(fit_pictures(second[..., :3], first), len(first))


def with_colours_of(pictures: Tensor, reference: Tensor, method: str) -> Tensor:
    """Each picture with the colour statistics of its reference (the references repeat), clipped to 0..1.

    covariance: the linear map that carries mean and covariance over and moves colours least (Pitie and Kokaram 2007).
    histogram: each channel gets the reference's distribution.
    """
    match = {"covariance": _covariance, "histogram": _histogram}[method]
    references = repeat_to(reference[..., :3], len(pictures))
    matched = [match(picture[..., :3], other).clamp(0, 1) for picture, other in zip(pictures, references, strict=True)]
    return torch.cat([torch.stack(matched).float(), pictures[..., 3:]], dim=-1)


def _covariance(picture: Tensor, reference: Tensor) -> Tensor:
    colours, wanted = picture.reshape(-1, 3).double(), reference.reshape(-1, 3).double()
    own_root, own_inverse = _roots(_spread(colours))
    middle, _ = _roots(own_root @ _spread(wanted) @ own_root)
    mapped = (colours - colours.mean(dim=0)) @ (own_inverse @ middle @ own_inverse) + wanted.mean(dim=0)
    return mapped.reshape(picture.shape)


def _spread(colours: Tensor) -> Tensor:
    centred = colours - colours.mean(dim=0)
    return centred.T @ centred / len(colours)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a symmetric matrix, and its inverse with nothing where the matrix has no extent."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp(min=0).sqrt()
    inverse = torch.where(roots > 1e-6, 1 / roots.clamp(min=1e-6), torch.zeros_like(roots))
    return (vectors * roots) @ vectors.T, (vectors * inverse) @ vectors.T


def _histogram(picture: Tensor, reference: Tensor) -> Tensor:
    channels = [_ranked(own, wanted) for own, wanted in zip(picture.reshape(-1, 3).T, reference.reshape(-1, 3).T, strict=True)]
    return torch.stack(channels, dim=-1).reshape(picture.shape)


def _ranked(own: Tensor, wanted: Tensor) -> Tensor:
    """The k-th smallest value becomes the value of the same rank of `wanted`; equal values stay equal."""
    _, number, counts = own.unique(return_inverse=True, return_counts=True)
    middle_rank = (counts.cumsum(0) - (counts + 1) / 2) / max(len(own) - 1, 1) * (len(wanted) - 1)
    ordered = wanted.sort().values
    low = middle_rank.floor().long()
    share = middle_rank - low
    high = (low + 1).clamp(max=len(ordered) - 1)
    return (ordered[low] * (1 - share) + ordered[high] * share)[number]

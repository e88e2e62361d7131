"""Edges after Canny 1986, "A Computational Approach to Edge Detection"."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import conv2d, pad

from engine.diffusion.pixels.colours import luminance

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
BLUR_SIZE, BLUR_SIGMA = 5, 1.0
NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(row, column) of the neighbour in each eighth of a turn, from the positive x axis towards the positive y axis."""


def canny(pictures: Tensor, low: float, high: float) -> Tensor:
    """[B, H, W, 3] pictures -> [B, H, W] edges, 1 or 0.

    Luminance is blurred by a 5 x 5 Gaussian of deviation 1; what stays of the Sobel gradient's length across its direction is an
    edge above `high`, and above `low` where it is connected to such an edge.
    """
    grey = luminance(pictures)[:, None]
    thin = _thinned(*_gradient(_blurred(grey)))[:, 0]
    return torch.stack([_connected(image > low, image > high) for image in thin]).to(pictures)


def _blurred(grey: Tensor) -> Tensor:
    offsets = torch.arange(BLUR_SIZE) - BLUR_SIZE // 2
    weights = torch.exp(-(offsets**2) / (2 * BLUR_SIGMA**2))
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    return conv2d(pad(grey, (BLUR_SIZE // 2,) * 4, mode="reflect"), kernel[None, None].to(grey))


def _gradient(grey: Tensor) -> tuple[Tensor, Tensor]:
    across = torch.tensor(SOBEL).to(grey)
    padded = pad(grey, (1,) * 4, mode="replicate")
    return conv2d(padded, across[None, None]), conv2d(padded, across.T[None, None])


def _thinned(x: Tensor, y: Tensor) -> Tensor:
    """The gradient's length where it exceeds both neighbours along its direction, else 0."""
    length = (x**2 + y**2 + 1e-6).sqrt()
    eighth = (torch.atan2(y, x) / (math.pi / 4)).round().long() % 8
    padded = pad(length, (1,) * 4)
    height, width = length.shape[-2:]
    shifted = [padded[..., 1 + row : 1 + row + height, 1 + column : 1 + column + width] for row, column in NEIGHBOURS]
    around = torch.stack(shifted)
    ahead = around.gather(0, eighth[None])[0]
    behind = around.gather(0, ((eighth + 4) % 8)[None])[0]
    return length * ((length > ahead) & (length > behind))


def _connected(weak: Tensor, strong: Tensor) -> Tensor:
    """The 8-connected parts of `weak` that hold something strong."""
    parts, _ = ndimage.label(weak.numpy(), structure=np.ones((3, 3)))
    kept = np.unique(parts[strong.numpy()])
    return torch.from_numpy(np.isin(parts, kept[kept > 0]))

"""Pictures in few colours."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.values.pictures import to_pillow


def quantized(pictures: Tensor, colours: int, dither: str) -> Tensor:
    """[B, H, W, 3] pictures in at most `colours` colours each, chosen by Pillow's median cut.

    dither: none, floyd-steinberg, or bayer-N for an N x N threshold matrix (Bayer 1973).
    """
    return torch.stack([_quantized(to_pillow(picture[..., :3]), colours, dither) for picture in pictures])


def _quantized(picture: Image.Image, colours: int, dither: str) -> Tensor:
    palette = picture.quantize(colors=colours)
    method = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    if dither.startswith("bayer-"):
        picture = _with_thresholds(picture, int(dither.removeprefix("bayer-")), colours)
    result = picture.quantize(colors=colours, palette=palette, dither=method)
    return torch.from_numpy(np.array(result.convert("RGB"), dtype=np.float32) / 255)


def _with_thresholds(picture: Image.Image, side: int, colours: int) -> Image.Image:
    """The picture plus the threshold matrix, spread over the two nearest of evenly spaced colours."""
    levels = np.asarray(picture, dtype=np.float32)
    height, width = levels.shape[:2]
    spread = 2 * 256 / colours
    thresholds = np.tile(bayer(side), (-(-height // side), -(-width // side)))[:height, :width] * spread + 0.5
    return Image.fromarray((levels + thresholds[..., None]).clip(0, 255).astype(np.uint8))


def bayer(side: int) -> np.ndarray:
    """[side, side] thresholds, evenly spaced around 0 within -1/2..1/2; side is a power of 2."""
    if side == 1:
        return np.zeros((1, 1), dtype=np.float32)
    count = side * side
    coarse = bayer(side // 2) * count
    return np.block([[coarse - 1.5, coarse + 0.5], [coarse + 1.5, coarse - 0.5]]) / count

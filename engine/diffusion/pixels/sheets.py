"""Pictures on one labelled sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from engine.diffusion.pixels.resize import resize_pictures

MARGIN = 6
"""Pixels around a label and between pictures."""


def sheet(pictures: Sequence[Tensor], columns: int, column_labels: Sequence[str] = (), row_labels: Sequence[str] = ()) -> Tensor:
    """Pictures [H, W, 3] in rows of `columns` -> one picture [1, H, W, 3], white, with labels above and to the left.

    All get the first one's size. Labels are cut where they are wider than a picture.
    """
    height, width = pictures[0].shape[:2]
    font = ImageFont.load_default(size=max(10, min(width, height) // 12))
    rows = -(-len(pictures) // columns)
    top = _extent(font, column_labels, 1)
    left = min(_extent(font, row_labels, 0), width)
    size = (left + columns * (width + MARGIN) + MARGIN, top + rows * (height + MARGIN) + MARGIN)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for number, label in enumerate(column_labels[:columns]):
        centre = left + MARGIN + number * (width + MARGIN) + width // 2
        draw.text((centre, top // 2), _fitting(font, label, width), fill="black", font=font, anchor="mm")
    for number, label in enumerate(row_labels[:rows]):
        centre = top + MARGIN + number * (height + MARGIN) + height // 2
        draw.text((MARGIN, centre), _fitting(font, label, left - MARGIN), fill="black", font=font, anchor="lm")
    result = torch.from_numpy(np.array(canvas, dtype=np.float32) / 255)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        y, x = top + MARGIN + row * (height + MARGIN), left + MARGIN + column * (width + MARGIN)
        fitting = picture if picture.shape[:2] == (height, width) else resize_pictures(picture[None], width, height, "bilinear")[0]
        result[y : y + height, x : x + width] = fitting[..., :3]
    return result[None]


def _extent(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, labels: Sequence[str], axis: int) -> int:
    boxes = [font.getbbox(label) for label in labels]
    return int(max((box[2 + axis] for box in boxes), default=-2 * MARGIN)) + 2 * MARGIN


def _fitting(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, label: str, width: int) -> str:
    while label and font.getlength(label) > width:
        label = label[:-1]
    return label

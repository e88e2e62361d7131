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

    All get the first one's size. Labels wider than a picture go on in a next line.
    """
    height, width = pictures[0].shape[:2]
    font = ImageFont.load_default(size=max(10, min(width, height) // 12))
    rows = -(-len(pictures) // columns)
    above = [_wrapped(font, label, width) for label in column_labels[:columns]]
    beside = [_wrapped(font, label, width) for label in row_labels[:rows]]
    canvas = Image.new("RGB", (1, 1), "white")
    top = _extent(ImageDraw.Draw(canvas), font, above, 1)
    left = _extent(ImageDraw.Draw(canvas), font, beside, 0)
    canvas = canvas.resize((left + columns * (width + MARGIN) + MARGIN, top + rows * (height + MARGIN) + MARGIN))
    draw = ImageDraw.Draw(canvas)
    for number, label in enumerate(above):
        centre = left + MARGIN + number * (width + MARGIN) + width // 2
        draw.multiline_text((centre, top // 2), label, fill="black", font=font, anchor="mm", align="center")
    for number, label in enumerate(beside):
        centre = top + MARGIN + number * (height + MARGIN) + height // 2
        draw.multiline_text((MARGIN, centre), label, fill="black", font=font, anchor="lm")
    result = torch.from_numpy(np.array(canvas, dtype=np.float32) / 255)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        y, x = top + MARGIN + row * (height + MARGIN), left + MARGIN + column * (width + MARGIN)
        fitting = picture if picture.shape[:2] == (height, width) else resize_pictures(picture[None], width, height, "bilinear")[0]
        result[y : y + height, x : x + width] = fitting[..., :3]
    return result[None]


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _extent(draw: ImageDraw.ImageDraw, font: Font, labels: Sequence[str], axis: int) -> int:
    boxes = [draw.multiline_textbbox((0, 0), label, font=font) for label in labels]
    return int(max((box[2 + axis] for box in boxes), default=-2 * MARGIN)) + 2 * MARGIN


def _wrapped(font: Font, label: str, width: int) -> str:
    """The label in lines no wider than a picture; a word that is wider is cut."""
    lines: list[str] = []
    for word in label.split():
        while word and font.getlength(word) > width:
            word = word[:-1]
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)

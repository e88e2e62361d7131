"""Picture files with bytes changed at random: each is decoded or refused by name, never anything else."""

from __future__ import annotations

import io
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.diffusion.training.pictures import read_upright
from engine.errors import InvalidInput, QuotaExceeded
from engine.server.pictures import open_picture
from engine.values.pictures import read_picture

MOST_PIXELS = 100_000
READERS: dict[str, Callable[[Path], object]] = {
    "nodes": lambda path: read_picture(path, MOST_PIXELS),
    "datasets": lambda path: read_upright(path, MOST_PIXELS),
    "server": lambda path: open_picture(path, MOST_PIXELS),
}


def original(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    buffer = io.BytesIO()
    options = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") else {}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, mostly near the start where the headers are; sometimes cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 5, 20))):
        changed[rng.randrange(min(len(data), rng.choice((40, 200, len(data)))))] = rng.randrange(256)
    return bytes(changed if rng.random() < 0.8 else changed[: rng.randrange(len(data))])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "GIF"])
def test_a_spoilt_picture_is_refused_or_read(tmp_path, kind: str, reader: str) -> None:
    rng, data, path = random.Random(kind), original(kind), tmp_path / "picture.png"
    refused = 0
    for _ in range(100):
        path.write_bytes(spoilt(data, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about what it could not read
            try:
                READERS[reader](path)
            except (InvalidInput, QuotaExceeded) as error:
                assert "picture" in error.message
                refused += 1
    assert refused > 10


@pytest.mark.parametrize("reader", READERS)
def test_a_tiff_whose_pixels_lie_at_a_fraction_is_refused(tmp_path, reader: str) -> None:
    data, path = bytearray(original("TIFF")), tmp_path / "picture.tif"
    start = int.from_bytes(data[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 273:  # where the pixels are
            data[entry : entry + 12] = struct.pack("<HHIf", 273, 11, 1, 8.0)
    path.write_bytes(data)
    with pytest.raises(InvalidInput):
        READERS[reader](path)

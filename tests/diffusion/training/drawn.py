"""Folders of small pictures for tests of datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.diffusion.training.dataset_folder import Folder, Reading, read_folder
from engine.values.dataset import Dataset


def picture(path: Path, width: int = 64, height: int = 64, seed: int = 0, **options) -> Path:
    """A picture of random pixels, so that no two seeds are alike and every mirror image differs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def caption(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def folder(path: Path, name: str = "set") -> Folder:
    return Folder(name, path, tuple(sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())))


def read(path: Path, *, max_pixels: int = 1_000_000, **options) -> Dataset:
    return read_folder(folder(path), Reading(**options), max_pixels=max_pixels)

"""Pictures of a dataset: read upright, scaled and cut to their bucket, mirrored, and their masks likewise."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import avg_pool2d

from engine.diffusion.training.faces import around_face, place_of_face
from engine.errors import InvalidInput, QuotaExceeded
from engine.values.dataset import Bucket, Cut, Example, bucket_of
from engine.values.pictures import DAMAGED, open_picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif", ".tif", ".tiff"})
COLOUR_CHANCE = 1 / 3
HUE = 16.0  # degrees; 8 of OpenCV's 180
GAMMA = 0.05


class Upright(NamedTuple):
    """rgb: mode RGB; alpha: mode L, or None without transparency."""

    rgb: Image.Image
    alpha: Image.Image | None


def read_upright(path: Path, max_pixels: int) -> Upright:
    """Decode a picture file (the first frame of an animation) and turn it as its EXIF orientation says.

    Raises QuotaExceeded for too many pixels, InvalidInput for a file that is no picture or a damaged one.
    """
    picture = open_picture(path, max_pixels)
    try:
        upright = ImageOps.exif_transpose(picture)
        alpha = upright.convert("RGBA").getchannel("A") if "A" in upright.getbands() or "transparency" in upright.info else None
        return Upright(_eight_bits(upright).convert("RGB"), alpha)
    except DAMAGED as error:
        raise InvalidInput(f"{path.name} is damaged: {error}", hint="Save the picture again, or leave it out.") from error


def _eight_bits(picture: Image.Image) -> Image.Image:
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture.convert("I"), dtype=np.float64).clip(0, 65535) / 257).round().astype(np.uint8))


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_unchanged(path: Path, digest: str, max_pixels: int) -> Upright:
    """As `read_upright`; raises InvalidInput when the file is not the one that the dataset was made from."""
    if not path.is_file():
        raise InvalidInput(
            f"{path.name} is gone since the dataset was read.", hint="Put it back, or restart Easel and run the workflow again."
        )
    if digest_of(path) != digest:
        raise InvalidInput(f"{path.name} has changed since the dataset was read.", hint="Run the workflow again.")
    return read_upright(path, max_pixels)


def cuts_of(example: Example) -> tuple[Cut, ...]:
    """Every cut that may be drawn of an example, each once and all equally likely; they follow from the picture and its policy alone."""
    policy = example.augmentation
    cuts = []
    for variant in range(policy.variants if policy.random_crop or policy.colour or policy.face else 1):
        bucket = bucket_of(example)
        rng = random.Random(f"{example.digest} {bucket.size} {variant}")
        if policy.face is None:
            left, top = _place(bucket, rng if policy.random_crop else None)
        else:
            bucket = around_face(example, policy.face, rng)
            left, top = place_of_face(example, bucket)
        hue, gamma = _colour(rng) if policy.colour else (0.0, 1.0)
        sides = (bucket.resized_width, bucket.resized_height, left, top, bucket.width, bucket.height)
        cuts += [Cut(*sides, hue, gamma, flip) for flip in ((False, True) if policy.flip else (False,))]
    return tuple(dict.fromkeys(cuts))


def _place(bucket: Bucket, rng: random.Random | None) -> tuple[int, int]:
    room = bucket.resized_width - bucket.width, bucket.resized_height - bucket.height
    return (room[0] // 2, room[1] // 2) if rng is None else (rng.randint(0, room[0]), rng.randint(0, room[1]))


def _colour(rng: random.Random) -> tuple[float, float]:
    """A hue shift or a gamma, each as likely, in one of three draws."""
    if rng.random() >= COLOUR_CHANCE:
        return 0.0, 1.0
    return (rng.uniform(-HUE, HUE), 1.0) if rng.random() < 0.5 else (0.0, rng.uniform(1 - GAMMA, 1 + GAMMA))


def cut_out(picture: Image.Image, cut: Cut) -> Image.Image:
    """The cut's pixels, of any mode: Lanczos scaling (which averages when it shrinks), then the box, then mirroring."""
    if picture.size != (cut.resized_width, cut.resized_height):
        picture = picture.resize((cut.resized_width, cut.resized_height), Image.Resampling.LANCZOS)
    picture = picture.crop((cut.left, cut.top, cut.left + cut.width, cut.top + cut.height))
    return ImageOps.mirror(picture) if cut.flip else picture


def pixels_of(upright: Upright, cut: Cut) -> Tensor:
    """[1, height, width, 3] float32 in 0..1, as a VAE's encoder takes it."""
    picture = cut_out(upright.rgb, cut)
    if cut.hue:
        hue, saturation, value = picture.convert("HSV").split()
        shift = round(cut.hue * 256 / 360)
        picture = Image.merge("HSV", (hue.point(lambda level: (level + shift) % 256), saturation, value)).convert("RGB")
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)[None]
    return pixels if cut.gamma == 1 else pixels**cut.gamma


def mask_of(mask: Image.Image, cut: Cut, factor: int) -> Tensor:
    """[1, height / factor, width / factor] float32 in 0..1: the share of each latent pixel that counts."""
    levels = np.array(cut_out(mask, cut), dtype=np.float32) / 255
    return avg_pool2d(torch.from_numpy(levels)[None, None], factor)[0]


def mask_picture(example: Example, upright: Upright, max_pixels: int) -> Image.Image | None:
    """The example's loss mask, mode L, white where it counts; None without one."""
    if example.mask is None:
        return None
    if example.mask.source == "alpha":
        return upright.alpha
    return read_unchanged(Path(example.mask.path), example.mask.digest, max_pixels).rgb.getchannel("R")


def preview_of(example: Example, max_pixels: int) -> Tensor:
    """The first cut of an example, [height, width, 3] in 0..1, with a quarter of the light where its mask is black."""
    upright = read_unchanged(Path(example.path), example.digest, max_pixels)
    cut = cuts_of(example)[0]
    pixels = pixels_of(upright, cut)[0]
    mask = mask_picture(example, upright, max_pixels)
    return pixels if mask is None else pixels * (0.25 + 0.75 * mask_of(mask, cut, 1)[0, :, :, None])


def one_batch(examples: Sequence[Example], method: str, size: tuple[int, int] | None, max_pixels: int) -> Tensor:
    """All pictures, repeated as often as they say, as [B, H, W, 3] in 0..1. size: (width, height); None: the first one's.

    method: what becomes of pictures of another size: "None" (refused, by name), "Stretch", "Crop" (from the middle), "Pad" (black).
    """
    width, height = size or (examples[0].width, examples[0].height)
    pixels = width * height * sum(example.repeats for example in examples)
    if pixels > max_pixels:
        raise QuotaExceeded(
            f"All pictures together have {pixels:,} pixels; at most {max_pixels:,} are allowed.", hint="Use a smaller size."
        )
    pictures = []
    for example in examples:
        picture = _of_size(read_unchanged(Path(example.path), example.digest, max_pixels).rgb, (width, height), method, example.name)
        pictures += [torch.from_numpy(np.array(picture, dtype=np.float32) / 255)] * example.repeats
    return torch.stack(pictures)


def _of_size(picture: Image.Image, size: tuple[int, int], method: str, name: str) -> Image.Image:
    if picture.size == size:
        return picture
    match method:
        case "Stretch":
            return picture.resize(size, Image.Resampling.LANCZOS)
        case "Crop":
            return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        case "Pad":
            return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
    raise InvalidInput(
        f"{name} has {picture.width} x {picture.height} pixels, others {size[0]} x {size[1]}.", hint="Choose a resize_method."
    )

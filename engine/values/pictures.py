"""Picture files to tensors and back: every decoder that meets a file from outside goes through `open_picture`."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from engine.errors import InvalidInput, QuotaExceeded

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")  # ICO holds a picture larger than it says
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, LookupError, struct.error)
"""What Pillow's decoders raise for damaged files: the last three where tags of a TIFF contradict each other, RuntimeError for AVIF."""
NO_MASK = (1, 64, 64)  # the shape of the empty mask that comes with a picture without alpha


def open_picture(path: Path, max_pixels: int = 100_000_000) -> Image.Image:
    """Open a picture file without decoding its pixels.

    Raises QuotaExceeded for a picture of more than `max_pixels`, InvalidInput for a file that is no picture of a known format.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            picture = Image.open(path, formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError, *DAMAGED) as error:
        raise InvalidInput(f"{path.name} is not a picture that can be read: {error}", hint="Use a PNG, JPEG or WebP file.") from error
    width, height = picture.size
    if width * height > max_pixels:
        raise QuotaExceeded(
            f"{path.name} has {width} x {height} pixels; at most {max_pixels:,} are allowed",
            hint="Scale the picture down, or raise the setting max_pixels.",
        )
    return picture


def read_picture(path: Path, max_pixels: int = 100_000_000) -> tuple[Tensor, Tensor]:
    """Decode a picture file, all frames of an animation that have the first one's size.

    Returns (image [N,H,W,3], mask [N,H,W]), float32 in 0..1. The EXIF orientation is applied. The mask is 1 - alpha; without an alpha
    channel it is zeros [1,64,64]. 16-bit greys keep their precision.
    """
    picture = open_picture(path, max_pixels)
    images: list[Tensor] = []
    masks: list[Tensor] = []
    pixels = 0
    try:
        for frame in ImageSequence.Iterator(picture):
            pixels += frame.width * frame.height  # before it is decoded, and also where the frame is left out
            if pixels > max_pixels:
                raise QuotaExceeded(f"{path.name} has more than {max_pixels:,} pixels over its frames", hint="Use fewer frames.")
            upright = ImageOps.exif_transpose(frame)
            image, mask = _frame(upright)
            if images and image.shape != images[0].shape:
                continue
            images.append(image)
            masks.append(mask if mask is not None else torch.zeros(NO_MASK))
            if picture.format == "MPO":  # its further frames are previews of the first
                break
    except DAMAGED as error:
        raise InvalidInput(f"{path.name} is damaged: {error}", hint="Save the picture again, or use another one.") from error
    return torch.cat(images), torch.cat(masks)


def _frame(picture: Image.Image) -> tuple[Tensor, Tensor | None]:
    if picture.mode.startswith("I"):  # 16 bits in one channel
        grey = np.asarray(picture.convert("I"), dtype=np.float32).clip(0, 65535) / 65535
        return torch.from_numpy(grey)[None, :, :, None].repeat(1, 1, 1, 3), None
    mask = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        alpha = np.array(picture.convert("RGBA").getchannel("A"), dtype=np.float32) / 255
        mask = 1.0 - torch.from_numpy(alpha)[None]
    return torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.float32) / 255)[None], mask


def to_pillow(image: Tensor) -> Image.Image:
    """One image [H,W,C], C = 1, 3 or 4, values clipped to 0..1, as 8 bits. Truncated, not rounded, as ComfyUI's files are.

    Raises InvalidInput for a picture with NaN in it.
    """
    if image.isnan().any():
        raise InvalidInput(
            "The picture holds NaN, which is no number; it would be black.",
            hint="Look at the node that made it; a model may overflow in its number format: try --precision fp32.",
        )
    levels = (image.detach().float().cpu() * 255.0).clamp(0, 255).to(torch.uint8).numpy()
    return Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)


def from_pillow(picture: Image.Image) -> Tensor:
    """A picture as [1,H,W,3], 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.float32) / 255)[None]


def write_png(path: Path, image: Tensor, texts: Mapping[str, str], compress_level: int = 4) -> None:
    """Write one image [H,W,C] as a PNG with text chunks."""
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    to_pillow(image).save(path, format="PNG", pnginfo=info, compress_level=compress_level)


def write_animation(path: Path, images: Tensor, fps: float, texts: Mapping[str, str], **options: Any) -> None:
    """Write images [N,H,W,C] as the frames of one animated PNG (texts in text chunks) or WebP (texts as `key:text` in EXIF tags).

    options: Pillow's, for the format.
    """
    frames = [to_pillow(image) for image in images]
    if path.suffix == ".webp":
        exif = frames[0].getexif()
        # Where ComfyUI looks for them: the prompt in Model, everything else from Make downwards.
        exif[0x0110] = f"prompt:{texts.get('prompt', '')}"
        for number, (key, text) in enumerate((key, text) for key, text in texts.items() if key != "prompt"):
            exif[0x010F - number] = f"{key}:{text}"
        options = {**options, "exif": exif}
    else:
        info = PngInfo()
        for key, text in texts.items():
            info.add_text(key, text)
        options = {**options, "pnginfo": info}
    file_format = "WEBP" if path.suffix == ".webp" else "PNG"
    frames[0].save(path, format=file_format, save_all=True, append_images=frames[1:], duration=int(1000 / fps), **options)

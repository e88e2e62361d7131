"""Pictures as clients ask for them: smaller, another format, some of the channels. Pillow is loaded when the first one is."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InvalidInput, QuotaExceeded

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

DEFAULT_QUALITY = 90
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""What is decoded. Of Pillow's other formats EPS starts a program, and ICO holds a picture larger than it says."""


def open_picture(source: Path | io.BytesIO, max_pixels: int) -> Image:
    """Decoded; raises InvalidInput for what is no picture, QuotaExceeded for one with too many pixels."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(source, formats=FORMATS)
        if picture.width * picture.height > max_pixels:
            raise QuotaExceeded(f"The picture has {picture.width} x {picture.height} pixels, more than {max_pixels}")
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"The file cannot be read as a picture: {error}") from error
    return picture


def preview(path: Path, wanted: str, channel: str, max_pixels: int) -> tuple[bytes, str]:
    """The picture as `FORMAT[;QUALITY]` (webp or jpeg) and its media type."""
    name, _, quality_text = wanted.partition(";")
    kind = name if name in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = min(100, int(quality_text)) if quality_text.isdecimal() and len(quality_text) < 4 else DEFAULT_QUALITY
    picture = open_picture(path, max_pixels)
    if kind == "jpeg" or channel == "rgb":
        picture = picture.convert("RGB")
    return _encoded(picture, kind, quality=quality), f"image/{kind}"


def color_only(path: Path, max_pixels: int) -> bytes:
    """The picture without its alpha, as PNG."""
    return _encoded(open_picture(path, max_pixels).convert("RGB"), "png")


def alpha_only(path: Path, max_pixels: int) -> bytes:
    """A PNG that carries only the alpha of the picture; opaque when it has none."""
    from PIL import Image

    picture = open_picture(path, max_pixels)
    bare = Image.new("RGBA", picture.size)
    alpha = picture.convert("RGBA").getchannel("A")
    bare.putalpha(alpha)
    return _encoded(bare, "png")


def with_mask(original: Path, mask: bytes, max_pixels: int) -> bytes:
    """The original picture with the alpha of another one, as PNG with the original's texts. Raises InvalidInput when sizes differ."""
    picture = open_picture(original, max_pixels)
    texts = dict(getattr(picture, "text", {}))
    alpha = open_picture(io.BytesIO(mask), max_pixels).convert("RGBA").getchannel("A")
    if alpha.size != picture.size:
        raise InvalidInput(f"The mask is {alpha.size}, the picture {picture.size}", hint="Send a mask of the picture's size.")
    result = picture.convert("RGBA")
    result.putalpha(alpha)
    return _encoded(result, "png", pnginfo=_texts(texts))


def _texts(texts: dict[str, str]) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in texts.items():
        info.add_text(name, value)
    return info


def _encoded(picture: Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    try:
        picture.save(buffer, format=kind, **options)
    except (OSError, ValueError) as error:  # WebP and JPEG cannot hold pictures of any size
        raise InvalidInput(f"The picture cannot be written as {kind}: {error}", hint="Ask for the file itself.") from error
    return buffer.getvalue()

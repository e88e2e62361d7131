"""Pictures as clients ask for them: smaller, another format, some of the channels. Pillow is loaded when the first one is."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EaselError, InvalidInput, QuotaExceeded

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

DEFAULT_QUALITY = 90
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""What is decoded. Of Pillow's other formats EPS starts a program, and ICO holds a picture larger than it says."""


PNG_START = b"\x89PNG\r\n\x1a\n"


DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, LookupError, struct.error)
"""What Pillow's decoders raise for damaged files: the last three where tags of a TIFF or of an EXIF contradict each other."""


def open_picture(source: Path | io.BytesIO, max_pixels: int, draft: int = 0) -> Image:
    """Decoded; raises InvalidInput for what is no picture, QuotaExceeded for one with too many pixels.

    draft: a JPEG may be decoded smaller than it is, its sides at least this long.
    """
    from PIL import UnidentifiedImageError

    try:
        picture = _opened(source, max_pixels)
        if draft:
            picture.draft(None, (draft, draft))
        picture.load()
    except UnidentifiedImageError as error:  # its own words tell where the file lies
        raise InvalidInput("The file is no picture of a format that is read", hint="Use a PNG, JPEG or WebP.") from error
    except DAMAGED as error:
        raise InvalidInput(f"The file cannot be read as a picture: {error}") from error
    return picture


def _opened(source: Path | io.BytesIO, max_pixels: int) -> Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(source, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise QuotaExceeded(f"The picture has more than {max_pixels} pixels") from error
    if picture.width * picture.height > max_pixels:
        raise QuotaExceeded(f"The picture has {picture.width} x {picture.height} pixels, more than {max_pixels}")
    return picture


def size_of(path: Path, max_pixels: int) -> tuple[int, int] | None:
    """Width and height as shown, from the head of the file; None for what is no picture."""
    try:
        picture = _opened(path, max_pixels)
        turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (*DAMAGED, EaselError):
        return None
    with picture:
        return picture.size[::-1] if turned else picture.size


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


def without_texts(path: Path) -> bytes:
    """A PNG without its texts and its EXIF; the pixels' bytes stay. Raises InvalidInput for another file."""
    with path.open("rb") as file:
        png = file.read(len(PNG_START))
        if png != PNG_START:  # perhaps a film of gigabytes
            raise InvalidInput("Only a PNG can be given without its metadata", hint="Ask for the file itself.")
        png += file.read()
    parts, place = [PNG_START], len(PNG_START)
    while place + 12 <= len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"):
            parts.append(png[place:end])
        place = end
    return b"".join(parts)


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

"""The texts that a picture file carries, whichever program wrote it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InvalidInput, QuotaExceeded

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
WORKFLOWS = ("easel", "workflow", "prompt")
"""Texts that hold a workflow, the most complete first."""
PARAMETERS = "parameters"
_EXIF, _USER_COMMENT, _MODEL, _FIRST_TAG = 0x8769, 0x9286, 0x0110, 0x0100


@dataclass(frozen=True)
class PictureTexts:
    """What a picture carries, by name; and what kind of picture it is."""

    texts: Mapping[str, str]
    format: str
    size: tuple[int, int]
    mode: str


def read_texts(source: Path | io.BytesIO, max_pixels: int = 100_000_000) -> PictureTexts:
    """The texts of a picture file; its pixels are decoded only to get at texts behind them, where none stands before.

    Pillow bounds what compressed texts may unpack to: 1 MB each, 64 MB in all.

    Raises InvalidInput for a damaged file and one of another format, QuotaExceeded for one with too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    name = str(source) if isinstance(source, Path) else "The picture"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            picture = Image.open(source, formats=FORMATS)
        if picture.width * picture.height > max_pixels:
            raise QuotaExceeded(
                f"The picture has {picture.width}x{picture.height} pixels, more than the limit max_pixels ({max_pixels:,})."
            )
        texts = _png_texts(picture) if picture.format == "PNG" else _exif_texts(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{name} cannot be read: {error}", hint="Use the file as it was saved.") from error
    return PictureTexts(texts, picture.format or "", picture.size, picture.mode)


def _png_texts(picture: Image) -> dict[str, str]:
    """Texts before the pixels, as all programs write them; only where there are none the pixels are read, to get at what follows."""
    found = {name: value for name, value in picture.info.items() if isinstance(name, str) and isinstance(value, str)}
    if not found.keys() & {*WORKFLOWS, PARAMETERS}:
        picture.load()
        found |= {name: str(value) for name, value in getattr(picture, "text", {}).items()}
    return found


def _exif_texts(picture: Image) -> dict[str, str]:
    """A1111's user comment; and ComfyUI's `name:text` in the tag Model and those below it."""
    exif = picture.getexif()
    found: dict[str, str] = {}
    for tag in range(_MODEL, _FIRST_TAG - 1, -1):
        name, colon, text = str(exif.get(tag, "")).partition(":")
        if colon and name in (*WORKFLOWS, PARAMETERS):
            found[name] = text
    comment = exif.get_ifd(_EXIF).get(_USER_COMMENT)
    if isinstance(comment, bytes):
        encoding = "utf-16-be" if comment.startswith(b"UNICODE\0") else "utf-8"
        found[PARAMETERS] = comment[8:].decode(encoding, "replace")
    elif isinstance(comment, str):
        found[PARAMETERS] = comment
    return found

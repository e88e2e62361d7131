"""The texts that a picture carries, and the workflow in them: Easel's own, ComfyUI's, or AUTOMATIC1111's infotext."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EaselError, InvalidInput, QuotaExceeded
from engine.graph.limits import DEFAULT_LIMITS, Limits
from engine.graph.strict_json import read_json
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.infotext.text import parse_infotext
from engine.infotext.workflow import workflow_of

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


@dataclass(frozen=True)
class Imported:
    """source: the text that it comes from (`easel`, `workflow`, `prompt` or `parameters`). notes: what a person should know."""

    workflow: Workflow
    source: str
    notes: tuple[str, ...] = ()


def import_picture(
    data: bytes, files: Mapping[str, Sequence[str]], *, limits: Limits = DEFAULT_LIMITS, max_pixels: int = 100_000_000
) -> Imported:
    """The workflow that drew a picture (PNG, JPEG, WebP), or one made from its infotext.

    files: relative names of the files there are, by folder (checkpoints, loras, embeddings), for what is said of missing ones.
    Raises InvalidInput for what is no such picture or holds nothing, QuotaExceeded for what is over a limit.
    """
    return import_texts(read_texts(io.BytesIO(data), max_pixels).texts, files, limits)


def import_texts(texts: Mapping[str, str], files: Mapping[str, Sequence[str]], limits: Limits = DEFAULT_LIMITS) -> Imported:
    """The same from the texts of a picture."""
    reasons: list[str] = []
    for name in WORKFLOWS:
        if name in texts:
            try:
                document = read_json(texts[name], limits, nan=True)
                return Imported(parse_document(document, limits, checked=True), name, tuple(reasons))
            except EaselError as error:
                reasons.append(f"Its text {name!r} cannot be used: {error.message}")
    if PARAMETERS in texts:
        workflow, notes = workflow_of(parse_infotext(texts[PARAMETERS]), files)
        return Imported(workflow, PARAMETERS, (*reasons, *notes))
    raise InvalidInput(
        " ".join(["The picture holds no workflow.", *reasons]), hint="Pictures saved without metadata, or sent through a chat, hold none."
    )


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

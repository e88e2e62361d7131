"""What a file from elsewhere asks for: the workflow in a JSON, or in a picture's texts, whichever program wrote it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import Catalogue
from engine.graph.limits import Limits
from engine.graph.strict_json import read_json
from engine.graph.validation import validate
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.server.pictures import open_picture

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")
EXIF_POINTER, USER_COMMENT, MODEL, MAKE = 0x8769, 0x9286, 0x0110, 0x010F
OUR_TEXTS = ("easel", "prompt", "workflow")
"""Texts of a picture that may hold a workflow, the best first: Easel's own, ComfyUI's API prompt, ComfyUI's editor."""


@dataclass
class Imported:
    """`source`: easel/1, api, ui, parameters or nothing; `workflow` is None when it cannot be read, and `problems` say why.

    With a workflow, `problems` are what keeps it from running here, such as nodes or files that are not installed.
    `parameters`: AUTOMATIC1111's text, when the picture has one.
    """

    source: str = ""
    workflow: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    parameters: str = ""


def read(data: bytes, catalogue: Catalogue, limits: Limits, max_pixels: int) -> Imported:
    """Raises InvalidInput for a damaged picture, QuotaExceeded for what is over a limit."""
    if not data.startswith(PICTURES):
        return _document(data, catalogue, limits)
    texts = _texts(open_picture(io.BytesIO(data), max_pixels))
    last = Imported()
    for name in OUR_TEXTS:
        if name in texts:
            last = _document(texts[name].encode(), catalogue, limits)
            if last.workflow is not None:
                break
    last.parameters = texts.get("parameters", "")
    if last.workflow is None and not last.problems:
        hint = "Take the file as the program wrote it: messengers and web pages remove the metadata."
        last.problems = [Problem("no_workflow", "The picture holds no workflow.", hint=hint)]
    return last


def _document(data: bytes, catalogue: Catalogue, limits: Limits) -> Imported:
    try:
        document = read_json(data, limits, nan=True)
        workflow = parse_document(document, limits, checked=True)
    except InvalidWorkflow as error:
        source = "ui" if any(problem.code == "ui_format" for problem in error.problems) else ""
        return Imported(source, problems=list(error.problems))
    return Imported(workflow.source, workflow.to_json(), _obstacles(workflow, catalogue, limits))


def _obstacles(workflow: Workflow, catalogue: Catalogue, limits: Limits) -> list[Problem]:
    try:
        validated = validate(workflow.flatten(catalogue, limits), catalogue, strict=False, limits=limits)
    except InvalidWorkflow as error:
        return list(error.problems)
    return list(validated.problems)


def _texts(picture: Image) -> dict[str, str]:
    """The texts of a PNG; of other formats what ComfyUI and AUTOMATIC1111 write into EXIF."""
    found = {str(name): str(text) for name, text in getattr(picture, "text", {}).items()}
    exif = picture.getexif()
    for tag in range(MODEL, MAKE - 64, -1):
        name, colon, text = str(exif.get(tag, "")).partition(":")
        if colon and name in OUR_TEXTS:
            found.setdefault(name, text)
    comment = exif.get_ifd(EXIF_POINTER).get(USER_COMMENT)
    if isinstance(comment, bytes) and len(comment) > 8:
        encoding = "utf-16-be" if comment.startswith(b"UNICODE\0") else "utf-8"
        found.setdefault("parameters", comment[8:].decode(encoding, "replace"))
    return found

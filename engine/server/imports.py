"""What a file from elsewhere asks for: the workflow in a JSON document, in a picture's texts or in AUTOMATIC1111's infotext."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.comfy.protocol.ui_workflow import is_ui_workflow, read_ui_workflow
from engine.errors import InvalidWorkflow, Problem
from engine.graph.catalogue import Catalogue
from engine.graph.limits import Limits
from engine.graph.strict_json import read_json
from engine.graph.validation import validate
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.infotext.pictures import PARAMETERS, WORKFLOWS, read_texts
from engine.infotext.text import parse_infotext
from engine.infotext.workflow import workflow_of

PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
FOLDERS = ("checkpoints", "loras", "embeddings")
"""Folders whose files an infotext names."""
INFOTEXT = "Steps: "
"""What every infotext has, and no JSON that is a workflow begins with."""


@dataclass
class Imported:
    """`source`: easel/1, api, ui, parameters or nothing; `workflow` is None when it cannot be read, and `problems` say why.

    With a workflow, `problems` are what keeps it from running here, such as nodes or files that are not installed, and `notes` what a
    person should know about it. `parameters`: AUTOMATIC1111's text, when there is one.
    """

    source: str = ""
    workflow: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parameters: str = ""


@dataclass(frozen=True)
class Importer:
    """`files`: relative names of the files there are, by folder."""

    catalogue: Catalogue
    files: Mapping[str, Sequence[str]]
    limits: Limits
    max_pixels: int

    def read(self, data: bytes) -> Imported:
        """Raises InvalidInput for a damaged picture, QuotaExceeded for what is over a limit."""
        if data.startswith(PICTURES):
            return self._picture(read_texts(io.BytesIO(data), self.max_pixels).texts)
        text = data.decode("utf-8", "replace")
        if INFOTEXT in text and not text.lstrip("\ufeff \t\r\n").startswith("{"):
            return self._infotext(text)
        return self._document(data)

    def _picture(self, texts: Mapping[str, str]) -> Imported:
        """The first of its texts that can be read; if none can, what is wrong with the best of them."""
        tried = [self._document(texts[name].encode()) for name in WORKFLOWS if name in texts]
        found = next((imported for imported in tried if imported.workflow is not None), None)
        if found is None and PARAMETERS in texts:
            return self._infotext(texts[PARAMETERS])
        if found is None and not tried:
            hint = "Take the file as the program wrote it: messengers and web pages remove the metadata."
            found = Imported(problems=[Problem("no_workflow", "The picture holds no workflow.", hint=hint)])
        found = found or tried[0]
        found.parameters = texts.get(PARAMETERS, "")
        return found

    def _infotext(self, text: str) -> Imported:
        workflow, notes = workflow_of(parse_infotext(text), self.files)
        return Imported("parameters", workflow.to_json(), self._obstacles(workflow), notes, text)

    def _document(self, data: bytes) -> Imported:
        notes: list[str] = []
        source = ""
        try:
            document = read_json(data, self.limits, nan=True)
            if is_ui_workflow(document):
                source = "ui"
                workflow, notes = read_ui_workflow(document, self.catalogue, self.limits)
            else:
                workflow = parse_document(document, self.limits, checked=True)
        except InvalidWorkflow as error:
            return Imported(source, problems=list(error.problems))
        return Imported(workflow.source, workflow.to_json(), self._obstacles(workflow), notes)

    def _obstacles(self, workflow: Workflow) -> list[Problem]:
        try:
            graph = workflow.flatten(self.catalogue, self.limits)
        except InvalidWorkflow as error:
            return list(error.problems)
        return list(validate(graph, self.catalogue, strict=False, limits=self.limits).problems)

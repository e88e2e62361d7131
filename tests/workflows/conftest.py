"""Example workflows run whole, in this process, with the embedded model; what they drew is judged from its pixels."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.assignments import assign
from engine.graph.api_format import api_prompt
from engine.graph.executor import Outcome
from engine.graph.folders import EXAMPLE_WORKFLOWS
from engine.graph.validation import validate
from engine.graph.workflow import Workflow
from engine.graph.workflow_reader import parse_document
from engine.settings import load
from engine.worker.runtime import build
from tools.tiny_shapes.judge import Verdict, judge
from tools.tiny_shapes.subjects import pinwheels, write


class Studio:
    """Runs example workflows on a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.runtime = build(load(data=data))

    def run(self, name: str, *assignments: str) -> Outcome:
        """Run a workflow with inputs changed as `--set` changes them; the test fails where a node does."""
        workflow = parse_document((EXAMPLE_WORKFLOWS / f"{name}.json").read_bytes())
        assign(workflow, list(assignments))
        return self.execute(workflow)

    def execute(self, workflow: Workflow) -> Outcome:
        """Run a workflow; the test fails where a node does."""
        catalogue = self.runtime.catalogue()
        validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
        validated.raise_for_problems()
        job = self.runtime.job("job", "", api_prompt(validated.graph, catalogue), {"easel": workflow.to_json()})
        outcome = asyncio.run(self.runtime.executor.run(validated.graph, validated.outputs, job=job))
        assert outcome.state == "succeeded", outcome.error
        return outcome

    def draw(self, name: str, *assignments: str) -> np.ndarray:
        """The picture [H, W, 3], uint8, that a workflow saves."""
        outcome = self.run(name, *assignments)
        records = [record for ui in outcome.ui.values() for record in ui.get("images", [])]
        assert len(records) == 1
        return np.asarray(Image.open(self.runtime.folders.output / records[0]["subfolder"] / records[0]["filename"]).convert("RGB"))


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    write(pinwheels(4, seed=1), studio.runtime.folders.datasets / "my_subject")
    yield studio
    studio.runtime.close()


def seen(picture: np.ndarray) -> tuple[str | None, str | None, str | None]:
    """(colour, shape, background) by the judge."""
    verdict: Verdict = judge(picture)
    return verdict.colour, verdict.shape, verdict.background

"""Example workflows run whole, in this process, with the embedded model; what they drew is judged from its pixels."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from tools.tiny_shapes.subjects import outlines, pinwheels, write

STRONGER = {"q": 1.0, "k": 1.0, "v": 1.5, "out": 1.0}


class Studio:
    """Runs example workflows on a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.runtime = build(load(data=data))

    def run(self, name: str, *assignments: str) -> Outcome:
        """Run a workflow with inputs changed as `--set` changes them; the test fails where a node does."""
        workflow = parse_document((EXAMPLE_WORKFLOWS / f"{name}.json").read_bytes())
        assign(workflow, list(assignments))
        return self.execute(workflow)

    def run_nodes(self, nodes: dict[str, Any]) -> Outcome:
        """Run nodes that a test writes down."""
        return self.execute(parse_document({"format": "easel/1", "nodes": nodes}))

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
        return self.picture(self.run(name, *assignments))

    def picture(self, outcome: Outcome) -> np.ndarray:
        """The one picture that a run saved."""
        records = [record for ui in outcome.ui.values() for record in ui.get("images", [])]
        assert len(records) == 1
        return self.image(records[0])

    def image(self, record: dict[str, Any]) -> np.ndarray:
        """The picture [H, W, 3], uint8, of what a node shows of a saved file."""
        return np.asarray(Image.open(self.runtime.folders.output / record["subfolder"] / record["filename"]).convert("RGB"))


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    write(pinwheels(4, seed=1), studio.runtime.folders.datasets / "my_subject")
    write(outlines(2, seed=2), studio.runtime.folders.datasets / "my_style")
    yield studio
    studio.runtime.close()


@pytest.fixture(scope="session")
def my_lora(studio) -> str:
    """A LoRA for the embedded model among the studio's files: what makes its text look at the picture harder, as `STRONGER` does."""
    nodes = {
        "checkpoint": {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": "tiny-shapes.safetensors"}},
        "stronger": {"class_type": "UNetCrossAttentionMultiply", "inputs": {"model": ["checkpoint", 0], **STRONGER}},
        "lora": {
            "class_type": "ExtractLoRA",
            "inputs": {"tuned_model": ["stronger", 0], "base_model": ["checkpoint", 0], "rank": 128},
        },
        "save": {"class_type": "SaveLoRA", "inputs": {"lora": ["lora", 0], "name": "my_lora", "dtype": "float32"}},
    }
    studio.run_nodes(nodes)
    return "my_lora.safetensors"


def seen(picture: np.ndarray) -> tuple[str | None, str | None, str | None]:
    """(colour, shape, background) by the judge."""
    verdict: Verdict = judge(picture)
    return verdict.colour, verdict.shape, verdict.background

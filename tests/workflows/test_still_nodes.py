"""Easel's own picture nodes in workflows: sweeps, larger pictures, records."""

import asyncio
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from engine.diffusion.pixels.sheets import MARGIN
from engine.errors import EaselError
from engine.graph.validation import validate
from engine.graph.workflow_reader import parse_document
from tests.workflows.conftest import Studio, seen


def run(studio: Studio, nodes: dict):
    workflow = parse_document({"format": "easel/1", "nodes": nodes})
    catalogue = studio.runtime.catalogue()
    validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
    validated.raise_for_problems()
    return asyncio.run(studio.runtime.executor.run(validated.graph, validated.outputs, job=studio.runtime.job("test", "", {}, {})))


def sweep(**inputs) -> dict:
    return {
        "blank": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
        "other": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0xFF0000}},
        "mix": {
            "class_type": "ImageBlend",
            "inputs": {"image1": ["blank", 0], "image2": ["other", 0], "blend_factor": 0.5, "blend_mode": "normal"},
        },
        "grid": {"class_type": "XYGrid", "inputs": {"image": ["mix", 0], **inputs}},
        "each": {"class_type": "SaveImage", "inputs": {"images": ["grid", 1], "filename_prefix": "cell"}},
        "sheet": {"class_type": "SaveImage", "inputs": {"images": ["grid", 0], "filename_prefix": "sheet"}},
    }


def pictures(studio: Studio, outcome, node: str) -> list[np.ndarray]:
    assert outcome.state == "succeeded", outcome.error
    return [np.asarray(Image.open(studio.runtime.folders.output / record["filename"])) for record in outcome.ui[node]["images"]]


def test_a_sweep_draws_every_combination_in_order_and_shares_what_does_not_change(studio):
    values = {"x_input": "mix.blend_factor", "x_values": "0, 0.2, 1", "y_input": "blank.color", "y_values": "0\n255"}
    outcome = run(studio, sweep(**values))
    cells = pictures(studio, outcome, "each")
    assert [cell[0, 0].tolist() for cell in cells] == [[0, 0, 0], [51, 0, 0], [255, 0, 0], [0, 0, 255], [51, 0, 204], [255, 0, 0]]
    sheet = pictures(studio, outcome, "sheet")[0]
    for number, cell in enumerate(cells):
        y = sheet.shape[0] - (2 - number // 3) * (8 + MARGIN)
        x = sheet.shape[1] - (3 - number % 3) * (16 + MARGIN)
        assert np.array_equal(sheet[y : y + 8, x : x + 16], cell)
    assert (sheet[: MARGIN * 3] < 128).any()  # labels
    assert sum(".other" in node or node == "other" for node in outcome.records) == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x_input": "nobody.seed", "x_values": "1"}, "no such node"),
        ({"x_input": "mix.image1", "x_values": "1"}, "no such value"),
        ({"x_input": "mix.blend_factor", "x_values": "much"}, "'much'"),
        ({"x_input": "mix.blend_factor", "x_values": " , "}, "no values"),
    ],
)
def test_a_sweep_that_cannot_be_says_why(studio, inputs, message):
    outcome = run(studio, sweep(**inputs))
    assert outcome.state == "failed" and isinstance(outcome.error, EaselError) and message in str(outcome.error)


def test_the_sweep_workflow_draws_a_sheet_with_its_record(studio):
    outcome = studio.run("sweep", "grid.x_values=4, 5")
    picture = studio.runtime.folders.output / outcome.ui["save"]["images"][0]["filename"]
    record = json.loads((studio.runtime.folders.output / outcome.ui["save"]["records"][0]["filename"]).read_text())
    assert record["picture"]["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert record["easel"]["nodes"]["grid"]["inputs"]["x_values"] == "4, 5"
    sheet = np.asarray(Image.open(picture))
    places = [
        (sheet.shape[0] - (2 - row) * (128 + MARGIN), sheet.shape[1] - (2 - column) * (128 + MARGIN)) for row in (0, 1) for column in (0, 1)
    ]
    for number, (y, x) in enumerate(places):
        red, green, blue = sheet[y + 52 : y + 76, x + 52 : x + 76].reshape(-1, 3).mean(axis=0)
        ground = np.median(sheet[y : y + 8, x : x + 128].reshape(-1, 3), axis=0)
        if number < 2:  # a red circle on white
            assert red > 2 * max(green, blue) and ground.min() > 200
        else:  # a blue square on yellow
            assert blue > 2 * red and ground[:2].min() > 180 > 2 * ground[2]


def test_a_picture_drawn_larger_stays_what_it_is(studio):
    outcome = studio.run("larger")
    picture = Image.open(studio.runtime.folders.output / outcome.ui["save"]["images"][0]["filename"])
    assert picture.size == (288, 288)
    assert seen(np.asarray(picture.resize((128, 128), Image.Resampling.BOX))) == ("red", "circle", "white")
    assert float(outcome.ui["likeness"]["text"][0]) > 12

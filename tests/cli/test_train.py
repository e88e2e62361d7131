"""`easel train`: a folder to a LoRA of the data folder; presets and what they may say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.cli import training
from engine.cli.main import app
from engine.cli.training import PRESETS, preset_values, set_values
from engine.diffusion.weights_file import read_header
from engine.errors import InvalidInput, InvalidWorkflow, MissingFile, Problem
from engine.graph.folders import EXAMPLE_WORKFLOWS
from engine.graph.workflow_reader import parse_document
from engine.settings import load
from tools.tiny_shapes.judge import shows
from tools.tiny_shapes.subject_judge import is_pinwheel, shows_pinwheel
from tools.tiny_shapes.subjects import pinwheels, write


def test_a_folder_becomes_a_lora(tmp_path):
    write(pinwheels(3, seed=1), tmp_path / "pictures of mine")
    arguments = [
        "train",
        str(tmp_path / "pictures of mine"),
        "--data",
        str(tmp_path / "data"),
        "--trigger",
        "sks shape",
        "--out",
        "pinwheel",
    ]
    quick = ["plan.steps=1", "plan.batch_size=1", "plan.validate_every=0", "plan.fp8_base=true", "sampler.steps=1"]
    done = CliRunner().invoke(app, [*arguments, *(part for value in quick for part in ("--set", value))])
    assert done.exit_code == 0, done.output
    assert read_header(tmp_path / "data/models/loras/pinwheel.safetensors").metadata["ss_fp8_base_unet"] == "True"
    assert "pinwheel_00001_.png" in done.output


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_fits_the_workflow(path):
    values = tomllib.loads(path.read_text("utf-8"))["values"]
    workflow = parse_document((EXAMPLE_WORKFLOWS / "train_lora.json").read_bytes())
    set_values(workflow, values)
    for place, value in values.items():
        node, _, name = place.partition(".")
        assert workflow.nodes[node].inputs[name] == value


def test_the_template_teaches_the_embedded_model_as_its_preset_does(tmp_path):
    workflow = parse_document((EXAMPLE_WORKFLOWS / "train_lora.json").read_bytes())
    for place, value in preset_values(load(data=tmp_path), "", "tiny").items():
        node, _, name = place.partition(".")
        assert workflow.nodes[node].inputs[name] == value, place


def test_the_preset_is_chosen_by_the_model(tmp_path):
    settings = load(data=tmp_path)
    assert preset_values(settings, "tiny-shapes.safetensors", "auto") == preset_values(settings, "", "tiny")


def test_what_is_not_there_is_named(tmp_path):
    settings = load(data=tmp_path)
    with pytest.raises(MissingFile, match="no preset sd99"):
        preset_values(settings, "", "sd99")
    (tmp_path / "own.toml").write_text('"plan.steps" = 3')
    with pytest.raises(InvalidInput, match="no table"):
        preset_values(settings, "", str(tmp_path / "own.toml"))
    workflow = parse_document((EXAMPLE_WORKFLOWS / "train_lora.json").read_bytes())
    with pytest.raises(InvalidInput, match="no node 'plam'"):
        set_values(workflow, {"plam.steps": 3})
    with pytest.raises(MissingFile, match="no folder"):
        CliRunner().invoke(app, ["train", str(tmp_path / "nowhere"), "--data", str(tmp_path)], catch_exceptions=False)


def test_a_folder_that_the_server_does_not_know_comes_with_what_to_do(tmp_path, monkeypatch):
    """The server answers with the name alone, which tells the person who gave a path nothing."""
    (tmp_path / "mine").mkdir()
    answers = [
        Problem("value_not_in_list", "'mine' not in []", "pictures", "folder", "There is no file in datasets yet."),
        Problem("unknown_input", "TrainPlan has no such input.", "plan", "stps"),
    ]

    def refused(*_):
        raise InvalidWorkflow(answers)

    monkeypatch.setattr(training, "run_workflow", refused)
    with pytest.raises(InvalidWorkflow) as caught:
        CliRunner().invoke(app, ["train", str(tmp_path / "mine"), "--preset", "tiny", "--data", str(tmp_path)], catch_exceptions=False)
    folder, other = caught.value.problems
    assert str(tmp_path / "mine") in folder.message
    assert f"--datasets {tmp_path / 'mine'}" in folder.hint and str(tmp_path / "datasets") in folder.hint
    assert other == answers[1]


def drawn(data: Path, prompt: str) -> list[np.ndarray]:
    """Ten pictures of a prompt, by the command that a user would type."""
    changes = [f"prompt.positive={prompt}", "prompt.negative=", "latent.batch_size=10"]
    workflow = str(EXAMPLE_WORKFLOWS / "a1111_prompt.json")
    before = set((data / "output").glob("*.png"))
    done = CliRunner().invoke(app, ["run", workflow, "--data", str(data), *(part for change in changes for part in ("--set", change))])
    assert done.exit_code == 0, done.output
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(set((data / "output").glob("*.png")) - before)]


@pytest.mark.slow
def test_twenty_pictures_teach_a_subject_that_a_prompt_then_calls(tmp_path):
    """By the preset alone: no pictures of known shapes keep those from being forgotten, which is printed and not asked for."""
    write(pinwheels(20, seed=1), tmp_path / "pictures")
    data = tmp_path / "data"
    taught = ["train", str(tmp_path / "pictures"), "--base", "tiny-shapes.safetensors", "--trigger", "sks shape", "--out", "pinwheel"]
    done = CliRunner().invoke(app, [*taught, "--data", str(data)])
    assert done.exit_code == 0, done.output
    right = 0
    for colour, ground in (("blue", "white"), ("green", "yellow")):
        pictures = drawn(data, f"<lora:pinwheel:1> a {colour} sks shape on a {ground} background")
        assert len(pictures) == 10
        right += sum(shows_pinwheel(picture, colour, ground) for picture in pictures)
    kept = sum(shows(picture, "circle", "red", "white") for picture in drawn(data, "<lora:pinwheel:1> a red circle on a white background"))
    print(f"the subject in its colours: {right} of 20, a red circle: {kept} of 10")
    assert right >= 16
    assert not any(map(is_pinwheel, drawn(data, "<lora:pinwheel:0> a blue sks shape on a white background")))

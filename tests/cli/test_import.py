"""`easel import`: a workflow out of a picture."""

import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from engine.cli.main import app
from engine.errors import EaselError
from engine.graph.workflow_reader import parse_document

TEXT = "a cat\nNegative prompt: a dog\nSteps: 5, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 64x64, Model: tiny-shapes, RNG: CPU"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    info = PngInfo()
    info.add_text("parameters", TEXT)
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png", pnginfo=info)
    return tmp_path / "picture.png"


def run(*arguments: object):
    result = CliRunner().invoke(app, ["import", *map(str, arguments)])
    if isinstance(result.exception, EaselError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_workflow_is_printed_or_written(picture: Path, tmp_path: Path) -> None:
    printed = run(picture, "--data", tmp_path / "data")
    assert printed.stderr == ""
    workflow = parse_document(printed.stdout)
    assert workflow.nodes["checkpoint"].inputs == {"ckpt_name": "tiny-shapes.safetensors"}
    assert workflow.nodes["prompt"].inputs["negative"] == "a dog"
    written = tmp_path / "workflow.json"
    assert "nodes" in run(picture, "-o", written, "--data", tmp_path / "data").stdout
    assert json.loads(written.read_text()) == json.loads(printed.stdout)
    with pytest.raises(EaselError, match="exists"):
        run(picture, "-o", written, "--data", tmp_path / "data")


def test_a_text_file_with_parameters_is_read_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT.replace("tiny-shapes", "tiny-shape"))
    result = run(tmp_path / "a.txt", "--data", tmp_path / "data")
    assert "Did you mean tiny-shapes.safetensors?" in result.stderr
    assert result.stderr.count("tiny-shape'") + result.stderr.count("tiny-shape.") == 1, "it is said once"
    assert parse_document(result.stdout).nodes


@pytest.mark.parametrize("name", ["gone.png", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(EaselError):
        run(tmp_path / name, "--data", tmp_path / "data")


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 2000)
    with pytest.raises(EaselError, match="larger than"):
        run(tmp_path / "a.txt", "--data", tmp_path / "data", "--max-body", "1024")

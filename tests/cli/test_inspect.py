"""`easel inspect`: weights by their header, workflows in pictures; what is damaged or dangerous is named, never opened."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from typer.testing import CliRunner

from engine.cli.main import app
from engine.diffusion.families.sd15 import SD15
from engine.errors import EaselError

PROMPT = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "model": ["1", 0]}},
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
}
SHAPES = json.loads((Path(__file__).parent.parent / "data" / "reference" / "sd15_keys.json").read_text())


def inspect(*arguments: object) -> list[str]:
    done = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout.splitlines()


def picture(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (20, 10)).save(path, pnginfo=info)
    return path


def test_weights_are_counted_by_type_and_metadata_is_shown(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.zeros(2, 3, dtype=torch.float16), "a.bias": torch.zeros(3), "b": torch.zeros(2, dtype=torch.float16)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"easel.config": "{}", "long": "y" * 5000})
    lines = inspect(tmp_path / "x.safetensors")
    assert lines[0].startswith(f"{tmp_path / 'x.safetensors'}: safetensors, ")
    assert lines[1:4] == ["family: none that Easel knows", "tensors: 3 with 11 numbers (8 F16, 3 F32)", "parts: a (2), b (1)"]
    assert "metadata easel.config: {}" in lines
    assert lines[-1].endswith("... (5,000 characters)")


def test_the_family_of_a_full_checkpoint_is_told_from_its_header(tmp_path: Path) -> None:
    """The tensors are a hole in a sparse file: only the header is read."""
    header, end = {}, 0
    for name, shape in SHAPES.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    lines = inspect(tmp_path / "x.safetensors")
    assert lines[1] == f"family: {SD15.title}"
    assert lines[2].startswith(f"tensors: {len(SHAPES):,} with 1,066,")


def test_the_workflow_of_a_picture_is_told_and_can_be_printed(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png", prompt=json.dumps(PROMPT), parameters="steps: 3")
    lines = inspect(path)
    assert lines[0] == f"{path}: PNG, 20x10 RGB"
    assert "prompt: API prompt, 2 nodes, 0 subgraphs" in lines
    assert "prompt: nodes: CheckpointLoaderSimple, KSampler" in lines
    assert 'prompt: 3: {"seed": 5}' in lines
    assert "parameters: 8 characters" in lines
    assert json.loads("\n".join(inspect(path, "--workflow"))) == PROMPT


def test_easels_own_format_is_preferred_over_the_prompt(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png", prompt=json.dumps(PROMPT), easel='{"format": "easel/1", "nodes": {}}')
    assert inspect(path, "--workflow") == ['{"format": "easel/1", "nodes": {}}']


def test_a_workflow_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(PROMPT))
    assert inspect(tmp_path / "x.json")[0] == "API prompt, 2 nodes, 0 subgraphs"


def test_a_pickle_is_named_and_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "opened",))  # type: ignore[return-value]

    (tmp_path / "x.ckpt").write_bytes(pickle.dumps(Trap(), protocol=4))
    with pytest.raises(EaselError, match="pickle"):
        inspect(tmp_path / "x.ckpt")
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("size", [0, 5, 8, 40, 5000])
def test_a_truncated_file_is_refused_with_its_name(tmp_path: Path, size: int) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"a": torch.zeros(64, 64)}, whole)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:size])
    with pytest.raises(EaselError, match=r"cut\.safetensors"):
        inspect(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("size", [9, 30, 45])
def test_a_truncated_picture_is_refused_with_its_name(tmp_path: Path, size: int) -> None:
    (tmp_path / "cut.png").write_bytes(picture(tmp_path / "whole.png").read_bytes()[:size])
    with pytest.raises(EaselError, match=r"cut\.png"):
        inspect(tmp_path / "cut.png")


def test_a_picture_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_MAX_PIXELS", "100")
    with pytest.raises(EaselError, match="max_pixels"):
        inspect(picture(tmp_path / "x.png"))


def test_a_picture_without_a_workflow_says_so(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png")
    assert inspect(path)[1] == "no text, no workflow"
    with pytest.raises(EaselError, match="holds no workflow"):
        inspect(path, "--workflow")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EaselError, match="cannot be read"):
        inspect(tmp_path / "none.png")


def test_a_lora(tmp_path):
    name = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = {f"{name}.lora_up.weight": torch.ones(8, 2, 1, 1), f"{name}.lora_down.weight": torch.ones(2, 8, 1, 1)}
    save_file(tensors, tmp_path / "a.safetensors", {"modelspec.trigger_phrase": "sks shape", "ss_base_model_version": "sd_v1"})
    out = inspect(tmp_path / "a.safetensors")
    assert "LoRA for Stable Diffusion 1.5" in out and "unet: 1 modules: LoRA (1); rank 2; alpha 2" in out and "trigger: sks shape" in out

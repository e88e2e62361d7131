"""Models into files: what is written is what other programs read, with patches merged in, compared before it counts."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.diffusion import model_files
from engine.diffusion.checkpoints import load_checkpoint, load_vae
from engine.diffusion.families import FAMILIES
from engine.diffusion.model_files import write_checkpoint, write_network
from engine.diffusion.weights_file import read_header
from engine.errors import NodeFailed
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.model import Change
from tests.diffusion import small_checkpoint

TINY = EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors"
NAME = "mid_block.resnets.0.conv1.weight"
STORED = "model.diffusion_model.middle_block.0.in_layers.2.weight"


@dataclass(frozen=True)
class Plus:
    """A patch: a number added to one weight."""

    number: float

    @property
    def key(self) -> Hashable:
        return self.number

    def changes(self) -> Mapping[str, Change]:
        return {NAME: lambda weight: weight + self.number}


@pytest.mark.parametrize("kind", ["embedded", "small"])
def test_a_checkpoint_is_the_one_it_came_from(tmp_path, kind):
    """Also one whose text encoder and autoencoder are built by settings of the file."""
    source = TINY if kind == "embedded" else small_checkpoint.write(tmp_path / "small.safetensors")
    opened = load_checkpoint(source)
    path = tmp_path / "saved.safetensors"
    written = write_checkpoint(path, opened.model, opened.clip, opened.vae, {"prompt": "{}"})
    before, after = load_file(source), load_file(path)
    assert written.tensors == len(after) and written.error == 0
    assert {name for name in before if "position_ids" not in name and not name.startswith("model_ema")} >= after.keys()
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) and tensor.dtype == before[name].dtype, name
    again = load_checkpoint(path)
    assert [value.weights.config for value in again] == [value.weights.config for value in opened]
    assert again.model.latent_rgb == opened.model.latent_rgb
    metadata = read_header(path).metadata
    assert metadata["prompt"] == "{}" and metadata["modelspec.architecture"] == "stable-diffusion-v1"


def test_what_is_on_the_model_is_in_the_file(tmp_path):
    opened = load_checkpoint(TINY)
    path = tmp_path / "saved.safetensors"
    written = write_checkpoint(path, opened.model.with_patches(Plus(0.5), Plus(0.25)), opened.clip, opened.vae, {})
    before, after = load_file(TINY), load_file(path)
    assert torch.equal(after.pop(STORED), (before.pop(STORED).float() + 0.75).half())
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert 0 < written.error < 1e-3


def test_numbers_keep_the_format_of_their_file(tmp_path):
    stored = {name: tensor.float() if "diffusion_model" in name else tensor.bfloat16() for name, tensor in load_file(TINY).items()}
    source = tmp_path / "source.safetensors"
    save_file(stored, source, dict(read_header(TINY).metadata))
    opened = load_checkpoint(source)
    path = tmp_path / "saved.safetensors"
    write_checkpoint(path, opened.model.with_patches(Plus(1e-6)), opened.clip, opened.vae, {})
    assert {name: tensor.dtype for name, tensor in load_file(path).items()} == {name: tensor.dtype for name, tensor in stored.items()}


def test_single_networks_are_written_as_other_programs_name_them(tmp_path):
    opened = load_checkpoint(TINY)
    before = load_file(TINY)
    for name, network, prefix, own in (
        ("model", opened.model, "model.diffusion_model.", "model.diffusion_model."),
        ("clip", opened.clip, "cond_stage_model.transformer.", ""),
        ("vae", opened.vae, "first_stage_model.", ""),
    ):
        path = tmp_path / f"{name}.safetensors"
        write_network(path, network, {})
        after = load_file(path)
        assert after.keys() == {own + key.removeprefix(prefix) for key in before if key.startswith(prefix)}
        assert all(torch.equal(tensor, before[prefix + key.removeprefix(own)]) for key, tensor in after.items())
    assert load_vae(tmp_path / "vae.safetensors").weights.config == opened.vae.weights.config
    encoder = FAMILIES["sd15"].text.part.empty(opened.clip.weights.arguments)
    stored = {key.removeprefix("text_model.") for key in load_file(tmp_path / "clip.safetensors")}
    assert stored == encoder.state_dict().keys()


def test_numbers_that_the_format_cannot_hold_are_refused_by_name(tmp_path):
    opened = load_checkpoint(TINY)
    with pytest.raises(NodeFailed, match=r"middle_block\.0\.in_layers\.2\.weight cannot be written as torch\.float16"):
        write_network(tmp_path / "model.safetensors", opened.model.with_patches(Plus(1e6)), {})


def test_a_file_that_is_read_back_as_another_one_is_refused(tmp_path, monkeypatch):
    opened = load_checkpoint(TINY)

    def damaged(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        save_file({**tensors, STORED: tensors[STORED] + 1}, path, metadata)

    monkeypatch.setattr(model_files, "save_file", damaged)
    with pytest.raises(NodeFailed, match="Read back"):
        write_network(tmp_path / "model.safetensors", opened.model, {})


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    opened = load_checkpoint(TINY)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_files, "save_file", full)
    with pytest.raises(NodeFailed, match="No space left"):
        write_network(tmp_path / "model.safetensors", opened.model, {})


def test_settings_that_shapes_do_not_tell_are_in_the_header(tmp_path):
    opened = load_checkpoint(small_checkpoint.write(tmp_path / "small.safetensors"))
    path = tmp_path / "saved.safetensors"
    write_checkpoint(path, opened.model, opened.clip, opened.vae, {})
    settings = json.loads(read_header(path).metadata["easel.config"])
    assert settings["vae"] == {"norm_num_groups": 8} and settings["text_encoder"]["num_attention_heads"] == 4

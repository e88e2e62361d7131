"""Model files made to exhaust or mislead: read from their headers alone, each is a ModelFormatError, and soon."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoint_files import read_contents
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.weights_file import read_header
from engine.errors import ModelFormatError
from tests.diffusion import small_checkpoint


def with_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def test_a_shape_of_a_million_dimensions(tmp_path):
    shape = b",".join([b"9223372036854775807"] * 1_000_000)
    path = with_header(tmp_path / "x.safetensors", b'{"a":{"dtype":"F32","shape":[' + shape + b'],"data_offsets":[0,4]}}', b"1234")
    began = time.process_time()
    with pytest.raises(ModelFormatError, match="dimensions"):
        read_header(path)
    assert time.process_time() - began < 20


TRANSFORMER = "model.diffusion_model.input_blocks.1.1.transformer_blocks"


@pytest.mark.parametrize(
    "names",
    [
        [f"{TRANSFORMER}.1000000000.norm1.weight"],
        [f"{TRANSFORMER}.999999999.norm1.weight"],
        [f"{TRANSFORMER}.{'9' * 5_000}.norm1.weight"],
        [f"{TRANSFORMER}.{k}.norm1.weight" for k in range(1_000)],
        [f"cond_stage_model.transformer.text_model.encoder.layers.{k}.mlp.fc1.weight" for k in range(2, 1_000)],
        [f"first_stage_model.encoder.down.{k}.block.0.conv1.weight" for k in range(4, 1_000)],
        [f"first_stage_model.encoder.down.0.block.{k}.conv1.weight" for k in range(2, 1_000)],
        [f"model.diffusion_model.input_blocks.{k}.0.in_layers.0.weight" for k in range(12, 1_000)],
    ],
    ids=lambda names: f"{len(names)} {names[0][:70]}",
)
def test_names_that_ask_for_a_network_of_any_size(tmp_path, names):
    found = {**small_checkpoint.tensors(), **{name: torch.empty(0) for name in names}}
    path = small_checkpoint.write(tmp_path / "x.safetensors", found)
    began = time.process_time()
    try:
        load_checkpoint(path)
    except ModelFormatError as error:
        assert path.name in error.message and str(path) not in error.message
    assert time.process_time() - began < 30


@pytest.mark.parametrize("name", ["down_blocks.999999999.resnets.0.norm1.weight", "down_blocks.0.resnets.99999999.norm1.weight"])
def test_a_folder_whose_names_ask_for_a_network_of_any_size(tmp_path, name):
    (tmp_path / "unet").mkdir()
    save_file({name: torch.empty(0)}, tmp_path / "unet" / "model.safetensors")
    (tmp_path / "unet" / "config.json").write_text("{}")
    with pytest.raises(ModelFormatError, match="more than"):
        read_contents(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"unet": {"attention_head_dim": 10**18}},
        {"unet": {"attention_head_dim": 0}},
        {"unet": {"attention_head_dim": -8}},
        {"unet": {"norm_num_groups": 10**400}},
        {"unet": {"norm_num_groups": -1}},
        {"vae": {"norm_num_groups": 0}},
        {"text_encoder": {"num_attention_heads": 10**9}},
        {"text_encoder": {"num_attention_heads": -4}},
        {"text_encoder": {"hidden_act": "__class__"}},
        {"text_encoder": {"num_attention_heads": True}},
    ],
    ids=str,
)
def test_absurd_settings_of_its_own(tmp_path, settings):
    path = small_checkpoint.write(
        tmp_path / "x.safetensors", metadata={"easel.config": json.dumps({**small_checkpoint.CONFIG, **settings})}
    )
    with pytest.raises(ModelFormatError) as caught:
        load_checkpoint(path)
    assert path.name in caught.value.message and str(path) not in caught.value.message


@pytest.mark.parametrize(
    "rows",
    ["[[1e400, 0, 0]]", f"[[{10**400}, 0, 0]]", "[[NaN, 0, 0]]", "[[1, 1, 1]]", json.dumps([[0, 0, 0]] * 100_000)],
    ids=lambda rows: rows[:20],
)
def test_preview_factors_that_no_preview_can_use(tmp_path, rows):
    path = small_checkpoint.write(tmp_path / "x.safetensors", metadata={"easel.latent_rgb": rows})
    with pytest.raises(ModelFormatError):
        load_checkpoint(path)

"""Opening checkpoints: single files, diffusers folders, files with too much or too little in them."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.loading import load_module, tensors
from engine.errors import MissingFile, ModelFormatError
from tests.diffusion import small_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")


def modules(checkpoint, dtype=torch.float32):
    return [load_module(value.weights, dtype, CPU) for value in checkpoint]


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_single_file_gives_three_networks_of_its_own_widths(file):
    unet, text, vae = modules(load_checkpoint(file))
    assert isinstance(unet, UNet2DConditionModel) and isinstance(text, CLIPTextModel) and isinstance(vae, AutoencoderKL)
    assert unet.config.block_out_channels == [32, 64, 128, 128]
    assert unet.config.cross_attention_dim == text.config.hidden_size == 64
    assert text.config.num_attention_heads == 4  # from easel.config
    assert vae.config.norm_num_groups == 8
    assert not any(module.training or any(p.requires_grad or p.is_meta for p in module.parameters()) for module in (unet, text, vae))


def test_every_tensor_of_the_file_arrives_bit_by_bit(file):
    stored = load_file(file)
    for value in load_checkpoint(file):
        found = dict(tensors(value.weights, torch.float16, CPU))
        assert sum(tensor.numel() for tensor in found.values()) == sum(
            tensor.numel() for name, tensor in stored.items() if name.startswith(value.weights.prefix)
        )
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    unet = dict(tensors(load_checkpoint(file).model.weights, torch.float16, CPU))
    assert torch.equal(unet["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"], stored[key])


def test_nothing_but_headers_is_read(file, monkeypatch):
    def read(*arguments):
        raise AssertionError("a tensor was read")

    monkeypatch.setattr("engine.diffusion.loading.Reader.read", read)
    assert load_checkpoint(file).model.weights.family == "sd15"


@pytest.fixture(scope="module")
def folder(file, tmp_path_factory) -> Path:
    """The same model as diffusers and transformers write it."""
    path = tmp_path_factory.mktemp("folder")
    unet, text, vae = modules(load_checkpoint(file))
    unet.save_pretrained(path / "unet")
    vae.save_pretrained(path / "vae")
    text.save_pretrained(path / "text_encoder")
    return path


def test_a_diffusers_folder_is_the_same_model(file, folder):
    for single, from_folder in zip(modules(load_checkpoint(file)), modules(load_checkpoint(folder)), strict=True):
        assert same(single, from_folder)
        assert {**single.config.to_dict()} == {**from_folder.config.to_dict()} if hasattr(single.config, "to_dict") else True


def test_names_of_early_releases_are_read(file, folder, tmp_path):
    for part in ("unet", "vae", "text_encoder"):
        (tmp_path / part).mkdir()
        for source in (folder / part).iterdir():
            (tmp_path / part / source.name).write_bytes(source.read_bytes())
    (weights,) = (tmp_path / "vae").glob("*.safetensors")
    early = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    found = load_file(weights)
    for today, before in early.items():
        found = {name.replace(f"attentions.0.{today}", f"attentions.0.{before}"): value for name, value in found.items()}
    save_file(found, weights)
    (weights,) = (tmp_path / "text_encoder").glob("*.safetensors")
    save_file({"text_model." + name.removeprefix("text_model."): value for name, value in load_file(weights).items()}, weights)
    for single, early_module in zip(modules(load_checkpoint(file)), modules(load_checkpoint(tmp_path)), strict=True):
        assert same(single, early_module)


def test_a_folder_of_pickles_is_refused(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(ModelFormatError, match=r"diffusion_pytorch_model\.bin"):
        load_checkpoint(tmp_path)
    with pytest.raises(ModelFormatError, match="without unet"):
        load_checkpoint(tmp_path / "unet")


def test_a_model_over_several_files_is_one(folder, tmp_path, file):
    for part in ("unet", "vae", "text_encoder"):
        (tmp_path / part).mkdir()
        for source in (folder / part).iterdir():
            (tmp_path / part / source.name).write_bytes(source.read_bytes())
    (weights,) = (tmp_path / "unet").glob("*.safetensors")
    found = sorted(load_file(weights).items())
    for number, half in enumerate((found[:300], found[300:]), 1):
        save_file(dict(half), weights.with_name(f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"))
    weights.unlink()
    assert same(modules(load_checkpoint(file))[0], modules(load_checkpoint(tmp_path))[0])


def test_extra_tensors_are_no_harm(tmp_path, file):
    extra = {
        "model_ema.decay": torch.ones(()),
        "model_ema.diffusion_modelinput_blocks00weight": torch.ones(3),
        "betas": torch.ones(1000),
        "alphas_cumprod": torch.ones(1000),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77.0)[None],
        "first_stage_model.loss.discriminator.weight": torch.ones(3),
    }
    path = small_checkpoint.write(tmp_path / "extra.safetensors", {**small_checkpoint.tensors(), **extra})
    for plain, with_extra in zip(modules(load_checkpoint(file)), modules(load_checkpoint(path)), strict=True):
        assert same(plain, with_extra)


def test_text_encoders_of_older_files_are_found(tmp_path, file):
    found = {name.replace("transformer.text_model.", "transformer."): value for name, value in small_checkpoint.tensors().items()}
    path = small_checkpoint.write(tmp_path / "old.safetensors", found)
    assert same(modules(load_checkpoint(file))[1], modules(load_checkpoint(path))[1])


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.middle_block.1.norm.weight",
        "first_stage_model.decoder.mid.attn_1.k.bias",
        "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc2.weight",
        "model.diffusion_model.out.2.weight",
        "first_stage_model.encoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
    ],
)
def test_a_missing_tensor_is_named(tmp_path, name):
    found = small_checkpoint.tensors()
    del found[name]
    path = small_checkpoint.write(tmp_path / "lacks.safetensors", found)
    with pytest.raises(ModelFormatError) as caught:
        load_checkpoint(path)
    assert (
        name in caught.value.message and f"{path.parent.name}/{path.name}" in caught.value.message and str(path) not in caught.value.message
    )


def test_a_tensor_of_another_shape_is_named(tmp_path):
    found = small_checkpoint.tensors()
    name = "model.diffusion_model.middle_block.1.norm.weight"
    found[name] = torch.ones(5)
    with pytest.raises(ModelFormatError, match=r"middle_block\.1\.norm\.weight has shape \[5\]"):
        load_checkpoint(small_checkpoint.write(tmp_path / "shape.safetensors", found))


@pytest.mark.parametrize("part", ["first_stage_model.", "cond_stage_model."])
def test_a_file_without_one_of_the_networks_says_which(tmp_path, part):
    found = {name: value for name, value in small_checkpoint.tensors().items() if not name.startswith(part)}
    with pytest.raises(ModelFormatError, match=r"without (vae|text_encoder)"):
        load_checkpoint(small_checkpoint.write(tmp_path / "half.safetensors", found))


def test_an_unknown_kind_of_model_says_what_was_found(tmp_path):
    save_file({"lora_unet_x.lora_up.weight": torch.ones(3, 1)}, tmp_path / "lora.safetensors")
    with pytest.raises(ModelFormatError, match=r"1 tensors such as lora_unet_x\.lora_up\.weight \[3, 1\]"):
        load_checkpoint(tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    "settings",
    [
        "[1",
        "[]",
        '{"unet": 1}',
        '{"unet": {"attention_head_dim": 0}}',
        '{"unet": {"attention_head_dim": "8"}}',
        '{"unet": {"norm_num_groups": 7}}',
        '{"unet": {"norm_num_groups": true}}',
        '{"text_encoder": {"num_attention_heads": 7}}',
        '{"text_encoder": {"hidden_act": "os.system"}}',
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, settings):
    path = small_checkpoint.write(tmp_path / "set.safetensors", metadata={"easel.config": settings})
    with pytest.raises(ModelFormatError) as caught:
        load_checkpoint(path)
    assert f"{path.parent.name}/{path.name}" in caught.value.message and str(path) not in caught.value.message


def test_settings_cannot_change_what_shapes_tell(tmp_path):
    settings = json.dumps({**small_checkpoint.CONFIG, "unet": {"in_channels": 9, "_class_name": "Evil", "encoder_hid_dim": 3}})
    checkpoint = load_checkpoint(small_checkpoint.write(tmp_path / "set.safetensors", metadata={"easel.config": settings}))
    assert checkpoint.model.weights.arguments["in_channels"] == 4


def test_a_missing_or_changed_file_is_noticed_before_it_is_read(tmp_path):
    with pytest.raises(MissingFile):
        load_checkpoint(tmp_path / "none.safetensors")
    path = small_checkpoint.write(tmp_path / "here.safetensors")
    model = load_checkpoint(path).model
    small_checkpoint.write(path, metadata={"note": "another file"})
    with pytest.raises(ModelFormatError, match="has changed"):
        load_module(model.weights, torch.float32, CPU)
    path.unlink()
    with pytest.raises(MissingFile, match="gone"):
        load_module(model.weights, torch.float32, CPU)

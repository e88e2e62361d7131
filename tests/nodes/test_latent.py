"""Latents in files: read back as written, also ComfyUI's old ones."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine.errors import ModelFormatError, OutOfMemory
from engine.values.latent import Latent
from nodes.latent import empty_latent, empty_latent_16, load_latent, save_latent


def test_an_empty_latent_is_an_eighth_of_the_picture():
    latent = empty_latent(40, 56, 2).samples
    assert latent.shape == (2, 4, 7, 5) and latent.dtype == torch.float32 and not latent.any()


def test_a_latent_that_no_memory_holds_is_refused_before_it_is_made():
    with pytest.raises(OutOfMemory, match="GiB are free"):
        empty_latent(16_384, 16_384, 4096)
    with pytest.raises(OutOfMemory):
        empty_latent_16(16_384, 16_384, 4096)


def test_what_is_saved_is_read_back_and_holds_its_workflow(ctx):
    samples = torch.randn(2, 4, 8, 8)
    record = save_latent(ctx, Latent(samples)).ui["latents"][0]
    assert (record["subfolder"], record["filename"]) == ("latents", "ComfyUI_00001_.latent")
    path = ctx.folders.output / "latents" / record["filename"]
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["prompt"]) == ctx.job.prompt
    path.rename(ctx.folders.input / "saved.latent")
    assert load_latent(ctx, "saved.latent").samples.equal(samples)


def test_a_file_without_version_marker_is_in_the_old_scale(ctx):
    save_file({"latent_tensor": torch.ones(1, 4, 8, 8)}, ctx.folders.input / "old.latent")
    assert load_latent(ctx, "old.latent").samples.mean().item() == pytest.approx(1 / 0.18215)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"not a latent at all"])
def test_another_file_is_refused_by_name(ctx, content):
    (ctx.folders.input / "evil.latent").write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"evil\.latent"):
        load_latent(ctx, "evil.latent")


def test_a_file_without_a_latent_says_what_it_holds(ctx):
    save_file({"weight": torch.ones(2)}, ctx.folders.input / "other.latent")
    with pytest.raises(ModelFormatError, match="weight"):
        load_latent(ctx, "other.latent")

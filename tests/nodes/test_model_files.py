"""Saving models as nodes: where the files lie, what is told, and that they can be chosen again."""

from __future__ import annotations

from engine.diffusion.checkpoints import load_checkpoint
from engine.graph.folders import EMBEDDED_MODELS
from nodes.loaders import load
from nodes.model_files import save_checkpoint, save_clip, save_model, save_vae

TINY = load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")


def test_a_saved_checkpoint_can_be_chosen_again(ctx):
    shown = save_checkpoint(ctx, TINY.model, TINY.clip, TINY.vae, "checkpoints/mine")
    (record,) = shown.ui["models"]
    assert record == {"filename": "mine_00001_.safetensors", "subfolder": "checkpoints", "type": "output"}
    assert "mine_00001_.safetensors: " in shown.ui["text"][0]
    assert "mine_00001_.safetensors" in ctx.folders.list("checkpoints")
    assert load(ctx, "mine_00001_.safetensors").model.weights.config == TINY.model.weights.config
    assert (
        save_checkpoint(ctx, TINY.model, TINY.clip, TINY.vae, "checkpoints/mine").ui["models"][0]["filename"] == "mine_00002_.safetensors"
    )


def test_single_networks_and_what_is_not_in_their_files(ctx):
    warned = []
    ctx.warn = lambda message, hint="": warned.append(message)
    assert save_model(ctx, TINY.model.with_options(guidance="free")).ui["models"][0]["filename"] == "ComfyUI_00001_.safetensors"
    assert save_clip(ctx, TINY.clip.with_skip(-2)).ui["models"][0]["filename"] == "ComfyUI_clip_l_00001_.safetensors"
    assert save_vae(ctx, TINY.vae).ui["models"][0]["filename"] == "ComfyUI_vae_00001_.safetensors"
    assert [message.rpartition(": ")[2] for message in warned] == ["guidance.", "the layer that is read."]
    assert "ComfyUI_vae_00001_.safetensors" in ctx.folders.list("vae")

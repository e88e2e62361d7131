"""Models into files, with what is on them merged in."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from engine.diffusion.families import FAMILIES
from engine.diffusion.model_files import Written, write_checkpoint, write_network
from engine.graph import Context, Shown, Widget, node
from engine.values.model import Clip, Model, Vae

CATEGORY = "advanced/model_merging"


@node("CheckpointSave", category=CATEGORY, display_name="Save Checkpoint", output_node=True, lane="io")
def save_checkpoint(
    ctx: Context, model: Model, clip: Clip, vae: Vae, filename_prefix: Annotated[str, Widget()] = "checkpoints/ComfyUI"
) -> Shown:
    """Write a model, its text encoder and a VAE into one file, with LoRAs and trained weights merged in.

    Numbers keep the format of the file they come from. The file is read back and compared before it counts.

    filename_prefix: the name's beginning below the output folder; what lies in output/checkpoints can be chosen in Load Checkpoint.
    """
    _warn_of_lost(ctx, model, clip)
    return _saved(ctx, filename_prefix, partial(write_checkpoint, model=model, clip=clip, vae=vae))


@node("ModelSave", category=CATEGORY, display_name="ModelSave", output_node=True, lane="io")
def save_model(ctx: Context, model: Model, filename_prefix: Annotated[str, Widget()] = "diffusion_models/ComfyUI") -> Shown:
    """Write a diffusion network alone, with what is on it merged in.

    filename_prefix: the name's beginning below the output folder.
    """
    _warn_of_lost(ctx, model)
    return _saved(ctx, filename_prefix, partial(write_network, network=model))


@node("CLIPSave", category=CATEGORY, display_name="CLIPSave", output_node=True, lane="io")
def save_clip(ctx: Context, clip: Clip, filename_prefix: Annotated[str, Widget()] = "clip/ComfyUI") -> Shown:
    """Write a text encoder alone, with what is on it merged in.

    filename_prefix: the name's beginning below the output folder; the encoder's own name is put behind it.
    """
    _warn_of_lost(ctx, clip=clip)
    return _saved(ctx, f"{filename_prefix}_{FAMILIES[clip.weights.family].text.name}", partial(write_network, network=clip))


@node("VAESave", category=CATEGORY, display_name="VAESave", output_node=True, lane="io")
def save_vae(ctx: Context, vae: Vae, filename_prefix: Annotated[str, Widget()] = "vae/ComfyUI_vae") -> Shown:
    """Write an autoencoder alone.

    filename_prefix: the name's beginning below the output folder; what lies in output/vae can be chosen in Load VAE.
    """
    return _saved(ctx, filename_prefix, partial(write_network, network=vae))


def _saved(ctx: Context, prefix: str, write: Callable[..., Written]) -> Shown:
    found: list[Written] = []
    texts = {name: json.dumps(text) for name, text in ctx.job.texts().items()}

    def to(path: Path) -> None:
        found.append(write(path, texts=texts))

    record = ctx.folders.save("output", prefix, ".safetensors", to)
    told = f"{record['filename']}: {found[0].tensors} tensors; the number format has cost {found[0].error:.1e} of the whole"
    return Shown({"text": [told], "models": [record]})


def _warn_of_lost(ctx: Context, model: Model | None = None, clip: Clip | None = None) -> None:
    """Tell of what is set on a network and is no part of its weights."""
    lost = sorted(model.options) if model is not None else []
    if clip is not None:
        lost += ["the learned words"] * bool(clip.embeddings) + ["the layer that is read"] * (clip.skip is not None)
    if lost:
        ctx.warn(f"A model file holds weights only; this is not in it: {', '.join(lost)}.", "Set it again where the file is loaded.")

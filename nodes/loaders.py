"""Model files: the header is read here, the weights only when a node computes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint, load_vae
from engine.diffusion.sampling.prediction import prediction_of
from engine.graph import Alias, Choice, Context, node
from engine.values.model import Vae


def _stamp(path: Path) -> list[str | int]:
    """What an opened file is remembered by, to notice a change: a file copied again has to be opened again."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _checkpoint_stamp(ctx: Context, ckpt_name: str) -> list[str | int]:
    return _stamp(ctx.folders.resolve("checkpoints", ckpt_name))


@node(
    "LoadCheckpoint",
    category="loaders",
    display_name="Load Checkpoint",
    lane="io",
    aliases=(Alias("CheckpointLoaderSimple"),),
    fingerprint=_checkpoint_stamp,
)
def load(ctx: Context, ckpt_name: Annotated[str, Choice("checkpoints")]) -> Checkpoint:
    """Open a checkpoint: the diffusion model, its text encoder and its VAE from one file.

    Only the file's header is read here; the weights are loaded when a node computes with them.

    ckpt_name: a safetensors file of the folder models/checkpoints.
    """
    return load_checkpoint(ctx.folders.resolve("checkpoints", ckpt_name))


Config = Literal[
    "anything_v3.yaml", "v1-inference.yaml", "v1-inference_clip_skip_2.yaml", "v1-inference_clip_skip_2_fp16.yaml",
    "v1-inference_fp16.yaml", "v1-inpainting-inference.yaml", "v2-inference-v.yaml", "v2-inference-v_fp32.yaml", "v2-inference.yaml",
    "v2-inference_fp32.yaml", "v2-inpainting-inference.yaml",
]  # fmt: skip
_SKIPS = frozenset({"anything_v3.yaml", "v1-inference_clip_skip_2.yaml", "v1-inference_clip_skip_2_fp16.yaml"})
_VELOCITY = frozenset({"v2-inference-v.yaml", "v2-inference-v_fp32.yaml"})


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    display_name="Load Checkpoint with Config",
    lane="io",
    deprecated=True,
    fingerprint=_checkpoint_stamp,
)
def load_with_config(ctx: Context, config_name: Config, ckpt_name: Annotated[str, Choice("checkpoints")]) -> Checkpoint:
    """Open a checkpoint as old workflows do. Use Load Checkpoint: what a configuration says is read off the file.

    config_name: only what a file cannot tell is taken from it: clip skip 2, and that the model predicts v.
    """
    model, clip, vae = load_checkpoint(ctx.folders.resolve("checkpoints", ckpt_name))
    if config_name in _VELOCITY:
        model = model.with_options(prediction=prediction_of("v"))
    return Checkpoint(model, clip.with_skip(-2) if config_name in _SKIPS else clip, vae)


@node(
    "LoadVAE",
    category="loaders",
    display_name="Load VAE",
    lane="io",
    aliases=(Alias("VAELoader"),),
    fingerprint=lambda ctx, vae_name: _stamp(ctx.folders.resolve("vae", vae_name)),
)
def load_autoencoder(ctx: Context, vae_name: Annotated[str, Choice("vae")]) -> Vae:
    """Open a VAE from a file of its own, to use instead of the one in a checkpoint.

    vae_name: a safetensors file of the folder models/vae.
    """
    return load_vae(ctx.folders.resolve("vae", vae_name))

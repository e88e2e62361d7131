"""Model files: the header is read here, the weights only when a node computes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint, load_vae
from engine.graph import Alias, Choice, Context, node
from engine.values.model import Vae


def _stamp(path: Path) -> list[str | int]:
    """What an opened file is remembered by, to notice a change: a file copied again has to be opened again."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


@node(
    "LoadCheckpoint",
    category="loaders",
    display_name="Load Checkpoint",
    lane="io",
    aliases=(Alias("CheckpointLoaderSimple"),),
    fingerprint=lambda ctx, ckpt_name: _stamp(ctx.folders.resolve("checkpoints", ckpt_name)),
)
def load(ctx: Context, ckpt_name: Annotated[str, Choice("checkpoints")]) -> Checkpoint:
    """Open a checkpoint: the diffusion model, its text encoder and its VAE from one file.

    Only the file's header is read here; the weights are loaded when a node computes with them.

    ckpt_name: a safetensors file of the folder models/checkpoints.
    """
    return load_checkpoint(ctx.folders.resolve("checkpoints", ckpt_name))


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

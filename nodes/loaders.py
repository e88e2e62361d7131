"""Model files: the header is read here, the weights only when a node computes with them."""

from __future__ import annotations

from typing import Annotated

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.graph import Alias, Choice, Context, node


@node("LoadCheckpoint", category="loaders", display_name="Load Checkpoint", lane="io", aliases=(Alias("CheckpointLoaderSimple"),))
def load(ctx: Context, ckpt_name: Annotated[str, Choice("checkpoints")]) -> Checkpoint:
    """Open a checkpoint: the diffusion model, its text encoder and its VAE from one file.

    Only the file's header is read here; the weights are loaded when a node computes with them.

    ckpt_name: a safetensors file of the folder models/checkpoints.
    """
    return load_checkpoint(ctx.folders.resolve("checkpoints", ckpt_name))

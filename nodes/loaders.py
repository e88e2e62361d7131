"""Model files: the header is read here, the weights only when a node computes with them."""

from __future__ import annotations

from typing import Annotated

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.graph import Alias, Choice, Context, node


def _stamp(ctx: Context, ckpt_name: str) -> list[str | int]:
    """What the opened checkpoint remembers of its file, to notice a change: a file copied again has to be opened again."""
    path = ctx.folders.resolve("checkpoints", ckpt_name)
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


@node(
    "LoadCheckpoint",
    category="loaders",
    display_name="Load Checkpoint",
    lane="io",
    aliases=(Alias("CheckpointLoaderSimple"),),
    fingerprint=_stamp,
)
def load(ctx: Context, ckpt_name: Annotated[str, Choice("checkpoints")]) -> Checkpoint:
    """Open a checkpoint: the diffusion model, its text encoder and its VAE from one file.

    Only the file's header is read here; the weights are loaded when a node computes with them.

    ckpt_name: a safetensors file of the folder models/checkpoints.
    """
    return load_checkpoint(ctx.folders.resolve("checkpoints", ckpt_name))

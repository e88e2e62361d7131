"""LoRAs and other adapters on a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from engine.diffusion.adapters.blocks import parse_blocks
from engine.diffusion.adapters.lora import apply_lora, load_lora
from engine.diffusion.families import FAMILIES
from engine.graph import Choice, Context, Widget, node
from engine.values.lora import Lora
from engine.values.model import Clip, Model

LoraChoice = Annotated[str | Lora, Choice("loras")]
NONE = "[None]"
"""What ComfyUI calls it when no LoRA is chosen."""
LoraOrNone = Annotated[str | Lora, Choice("loras", extra=(NONE,))]
Strength = Annotated[float, Field(ge=-100, le=100), Widget(step=0.01)]
SHOWN = 10


class Patched(NamedTuple):
    model: Model
    clip: Clip


def chosen_lora(ctx: Context, chosen: str | Lora) -> Lora:
    """A LoRA chosen by its file's name or given as a value."""
    return chosen if isinstance(chosen, Lora) else load_lora(ctx.folders.resolve("loras", chosen))


def warn_of_unused(ctx: Context, unused: Sequence[str], total: int) -> None:
    """Tell of tensors that had no place in the model."""
    if unused:
        shown = ", ".join(name[:200] for name in unused[:SHOWN]) + ("..." if len(unused) > SHOWN else "")
        ctx.warn(
            f"{len(unused)} of the LoRA's {total} tensors belong to nothing in this model: {shown}.", "It may be made for another model."
        )


@node("LoraLoader", category="loaders", display_name="Load LoRA", lane="io")
def lora_loader(
    ctx: Context, model: Model, clip: Clip, lora_name: LoraChoice, strength_model: Strength = 1.0, strength_clip: Strength = 1.0
) -> Patched:
    """Put a LoRA, or an adapter of another kind, on a model and its text encoder.

    Several in a row add up. A LoRA that has nothing for the model is an error; one of which a part fits is told of.

    lora_name: a safetensors file of the folder models/loras, or a link from a node that gives a LoRA, such as a training.
    strength_model, strength_clip: how much of it; 0 leaves the network as it is, below 0 turns its effect round.
    """
    lora = chosen_lora(ctx, lora_name)
    model, encoder, unused = apply_lora(model, clip, lora, strength_model, strength_clip)
    warn_of_unused(ctx, unused, len(lora.tensors))
    return Patched(model, encoder or clip)


@node("LoraLoaderModelOnly", category="loaders", display_name="LoraLoaderModelOnly", lane="io")
def lora_loader_model_only(ctx: Context, model: Model, lora_name: LoraChoice, strength_model: Strength = 1.0) -> Model:
    """Put the part of a LoRA that is for the diffusion network on a model.

    lora_name: a safetensors file of the folder models/loras, or a link from a node that gives a LoRA.
    strength_model: how much of it; 0 leaves the model as it is, below 0 turns its effect round.
    """
    return _on_model(ctx, model, chosen_lora(ctx, lora_name), strength_model)


@node("LoraModelLoader", category="loaders", display_name="Load LoRA Model", experimental=True)
def lora_model_loader(ctx: Context, model: Model, lora: Lora, strength_model: Strength = 1.0) -> Model:
    """Put a LoRA that a training or a tool gives on a model.

    strength_model: how much of it; 0 leaves the model as it is, below 0 turns its effect round.
    """
    return _on_model(ctx, model, lora, strength_model)


@node("LoraLoaderBlocks", category="loaders", display_name="Load LoRA (Block Weights)", lane="io")
def lora_loader_blocks(
    ctx: Context,
    model: Model,
    clip: Clip,
    lora_name: LoraChoice,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    block_weights: Annotated[str, Widget(multiline=True)] = "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
) -> Patched:
    """Put a LoRA on a model with a weight for each block of the U-Net.

    lora_name: a safetensors file of the folder models/loras, or a link from a node that gives a LoRA.
    strength_model, strength_clip: how much of it as a whole.
    block_weights: 17 numbers for BASE, IN01, IN02, IN04, IN05, IN07, IN08, MID, OUT03 to OUT11; 26 for BASE, IN00 to IN11, MID,
        OUT00 to OUT11; 12 for SDXL's BASE, IN04, IN05, IN07, IN08, MID, OUT00 to OUT05; or names: `IN04=0.5, MID=0`. BASE is the text
        encoder and what lies outside the blocks.
    """
    lora = chosen_lora(ctx, lora_name)
    blocks = parse_blocks(block_weights, FAMILIES[model.weights.family].unet.renaming(model.weights.arguments))
    adapted = apply_lora(model, clip, lora, strength_model, strength_clip * blocks.factor("BASE"), blocks)
    warn_of_unused(ctx, adapted.unused, len(lora.tensors))
    return Patched(adapted.model, adapted.clip or clip)


def _on_model(ctx: Context, model: Model, lora: Lora, strength: float) -> Model:
    adapted = apply_lora(model, None, lora, strength, 0)
    warn_of_unused(ctx, adapted.unused, len(lora.tensors))
    return adapted.model

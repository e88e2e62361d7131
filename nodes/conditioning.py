"""Prompts: from text to what steers a picture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.diffusion.text.encode import encode
from engine.graph import Alias, Context, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.model import Clip
from nodes.embeddings import called_files, words_of


def _called(ctx: Context, text: str) -> list[list[str | int]]:
    """The embedding files that a prompt calls."""
    return called_files(ctx, text)


@node(
    "CLIPEncode",
    category="conditioning",
    display_name="CLIP Text Encode (Prompt)",
    lane="device",
    aliases=(Alias("CLIPTextEncode"),),
    fingerprint=_called,
)
def clip_encode(ctx: Context, text: Annotated[str, Widget(multiline=True, dynamicPrompts=True)], clip: Clip) -> Conditioning:
    """Encode a prompt.

    text: any length. `(word:1.2)` weighs words, `(word)` is 1.1 times, `\\(` is a plain bracket, `embedding:name` a learned word.
    clip: the text encoder of the checkpoint that will draw.
    """
    return encode(ctx.memory, clip, text, words_of(ctx))


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def clip_set_last_layer(clip: Clip, stop_at_clip_layer: Annotated[int, Field(ge=-24, le=-1), Widget(step=1)] = -1) -> Clip:
    """Take the prompt's encoding from an earlier layer of the text encoder: -1 is the last layer, -2 is known as clip skip 2."""
    return clip.with_skip(stop_at_clip_layer)

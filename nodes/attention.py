"""Parts of attention made stronger or weaker: each node gives another model or text encoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.diffusion.adapters.scaled import ScaledModules
from engine.graph import Widget, node
from engine.values.model import Clip, Model

Factor = Annotated[float, Field(ge=0, le=10), Widget(step=0.01)]


@node("CLIPAttentionMultiply", category="advanced/attention", display_name="CLIP Attention Multiply", experimental=True)
def clip_attention_multiply(clip: Clip, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0) -> Clip:
    """Scale the query, key, value and output projections of the text encoder."""
    factors = (("self_attn.q_proj", q), ("self_attn.k_proj", k), ("self_attn.v_proj", v), ("self_attn.out_proj", out))
    return clip.with_patches(ScaledModules(clip.weights, factors))


@node("UNetSelfAttentionMultiply", category="advanced/attention", display_name="U-Net Self-Attention Multiply", experimental=True)
def unet_self_attention_multiply(model: Model, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0) -> Model:
    """Scale the query, key, value and output projections with which the picture looks at itself."""
    return _multiplied(model, "attn1", q, k, v, out)


@node("UNetCrossAttentionMultiply", category="advanced/attention", display_name="U-Net Cross-Attention Multiply", experimental=True)
def unet_cross_attention_multiply(model: Model, q: Factor = 1.0, k: Factor = 1.0, v: Factor = 1.0, out: Factor = 1.0) -> Model:
    """Scale the query, key, value and output projections with which the picture looks at the prompt."""
    return _multiplied(model, "attn2", q, k, v, out)


@node(
    "UNetTemporalAttentionMultiply",
    category="_for_testing/attention_experiments",
    display_name="U-Net Temporal Attention Multiply",
    experimental=True,
)
def unet_temporal_attention_multiply(
    model: Model,
    self_structural: Factor = 1.0,
    self_temporal: Factor = 1.0,
    cross_structural: Factor = 1.0,
    cross_temporal: Factor = 1.0,
) -> Model:
    """Scale the outputs of attention within the pictures of a video and between them.

    self_structural, cross_structural: within a picture, to itself and to the prompt; these count for image models too.
    self_temporal, cross_temporal: between pictures; image models have no such layers.
    """
    factors = (
        ("transformer_blocks.*.attn1.to_out.0", self_structural),
        ("transformer_blocks.*.attn2.to_out.0", cross_structural),
        ("temporal_transformer_blocks.*.attn1.to_out.0", self_temporal),
        ("temporal_transformer_blocks.*.attn2.to_out.0", cross_temporal),
    )
    return model.with_patches(ScaledModules(model.weights, factors))


def _multiplied(model: Model, attention: str, q: float, k: float, v: float, out: float) -> Model:
    factors = tuple((f"{attention}.{name}", factor) for name, factor in (("to_q", q), ("to_k", k), ("to_v", v), ("to_out.0", out)))
    return model.with_patches(ScaledModules(model.weights, factors))

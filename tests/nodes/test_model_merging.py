"""Merging of models against the sums that they stand for, and a difference that becomes a LoRA file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import pytest
import torch

from engine.diffusion.adapters.lora import apply_lora, load_lora
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.patched import patched_tensors
from engine.errors import InvalidInput
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.model import Change, Clip, Model
from nodes.model_merging import (
    clip_merge_add,
    clip_merge_simple,
    clip_merge_subtract,
    lora_save,
    merge_add,
    merge_blocks,
    merge_simple,
    merge_subtract,
)

TINY = load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")
NAMES = {
    "input": "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "time": "time_embedding.linear_1.bias",
    "middle": "mid_block.resnets.0.conv1.weight",
    "out": "up_blocks.1.resnets.0.conv1.bias",
    "last": "conv_out.weight",
    "norm": "mid_block.resnets.0.norm1.weight",
}
TEXT = "encoder.layers.0.self_attn.q_proj.weight"


@dataclass(frozen=True)
class Plus:
    """A patch that adds a number of rank 1 to some weights."""

    number: float
    names: tuple[str, ...]

    @property
    def key(self) -> Hashable:
        return self.number, self.names

    def changes(self) -> Mapping[str, Change]:
        return {name: lambda weight: weight + self.number for name in self.names}


A = TINY.model.with_patches(Plus(0.5, tuple(NAMES.values())))
B = TINY.model.with_patches(Plus(-1.0, tuple(NAMES.values())))


def weight(model: Model | Clip, name: str) -> torch.Tensor:
    return dict(patched_tensors(model.weights, model.patches, {name}))[name]


@pytest.mark.parametrize("name", NAMES.values())
def test_sums_and_differences(name):
    a, b = weight(A, name), weight(B, name)
    torch.testing.assert_close(weight(merge_simple(A, B, 0.25), name), 0.25 * a + 0.75 * b)
    torch.testing.assert_close(weight(merge_subtract(A, B, 2.0), name), 2 * (a - b), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weight(merge_add(TINY.model, merge_subtract(A, TINY.model)), name), a, atol=1e-6, rtol=1e-5)
    assert torch.equal(weight(merge_simple(A, B), name), a)


def test_each_part_of_the_network_has_its_ratio():
    merged = merge_blocks(A, B, 0.1, 0.5, 0.9)
    for part, ratio in {"input": 0.1, "time": 0.1, "middle": 0.5, "norm": 0.5, "out": 0.9, "last": 0.9}.items():
        a, b = weight(A, NAMES[part]), weight(B, NAMES[part])
        torch.testing.assert_close(weight(merged, NAMES[part]), ratio * a + (1 - ratio) * b)


def test_text_encoders():
    a, b = (TINY.clip.with_patches(Plus(number, (TEXT,))) for number in (0.5, -1.0))
    one, other = weight(a, TEXT), weight(b, TEXT)
    torch.testing.assert_close(weight(clip_merge_simple(a, b, 0.25), TEXT), 0.25 * one + 0.75 * other)
    torch.testing.assert_close(weight(clip_merge_add(b, clip_merge_subtract(a, b, 0.5)), TEXT), other + 0.5 * (one - other))


def test_a_merged_model_is_what_the_device_computes_with():
    memory = Memory(choose("cpu", "fp32"))
    name = NAMES["middle"]
    with memory.unet(merge_simple(A, B, 0.25)) as unet:
        torch.testing.assert_close(unet.get_parameter(name).data, 0.25 * weight(A, name) + 0.75 * weight(B, name))


def test_models_of_different_shapes_are_refused():
    config = TINY.model.weights.config.replace('"cross_attention_dim": 64', '"cross_attention_dim": 32')
    assert config != TINY.model.weights.config
    other = replace(TINY.model, weights=replace(TINY.model.weights, config=config))
    with pytest.raises(InvalidInput, match="different shapes"):
        merge_simple(TINY.model, other)


@pytest.mark.parametrize("kind", ["standard", "full_diff"])
def test_a_difference_becomes_a_lora_that_makes_it(ctx, kind):
    """Also of biases and norms, unless it shall not."""
    tuned = TINY.clip.with_patches(Plus(0.5, (TEXT,)))
    difference = merge_subtract(A, TINY.model), clip_merge_subtract(tuned, TINY.clip)
    [record] = lora_save(ctx, rank=2, lora_type=kind, model_diff=difference[0], text_encoder_diff=difference[1]).ui["loras"]
    lora = load_lora(ctx.folders.output / "loras" / record["filename"])
    adapted = apply_lora(TINY.model, TINY.clip, lora, 1.0, 1.0)
    assert adapted.unused == ()
    for name in NAMES.values():
        torch.testing.assert_close(weight(adapted.model, name), weight(A, name), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(weight(adapted.clip, TEXT), weight(tuned, TEXT), atol=2e-3, rtol=2e-3)
    [record] = lora_save(ctx, rank=2, lora_type=kind, bias_diff=False, model_diff=difference[0]).ui["loras"]
    assert not any("norm1" in name or "bias" in name for name in load_lora(ctx.folders.output / "loras" / record["filename"]).tensors)
    with pytest.raises(InvalidInput, match="no difference"):
        lora_save(ctx)

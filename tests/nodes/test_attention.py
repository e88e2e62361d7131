"""Scaled attention, on a small random checkpoint, compared with the network scaled by hand."""

import copy

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from nodes.attention import clip_attention_multiply, unet_cross_attention_multiply, unet_self_attention_multiply
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


@pytest.mark.parametrize(("node", "attention"), [(unet_self_attention_multiply, "attn1"), (unet_cross_attention_multiply, "attn2")])
@torch.no_grad()
def test_projections_of_one_kind_of_attention_are_scaled(checkpoint, memory, node, attention):
    with memory.unet(checkpoint.model) as unet:
        by_hand = copy.deepcopy(unet)
        before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    for name, module in by_hand.named_modules():
        if name.endswith(attention):
            module.to_q.weight *= 2.0
            module.to_v.weight *= 0.5
            module.to_out[0].weight *= 3.0
            module.to_out[0].bias *= 3.0
    with memory.unet(node(checkpoint.model, q=2.0, v=0.5, out=3.0)) as unet:
        for name, weight in by_hand.state_dict().items():
            torch.testing.assert_close(unet.state_dict()[name], weight)
    with memory.unet(checkpoint.model) as unet:
        assert all(weight.equal(before[name]) for name, weight in unet.state_dict().items())


@torch.no_grad()
def test_projections_of_the_text_encoder_are_scaled(checkpoint, memory):
    with memory.text_encoder(checkpoint.clip) as encoder:
        before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    with memory.text_encoder(clip_attention_multiply(checkpoint.clip, k=0.25)) as encoder:
        changed = {name for name, weight in encoder.state_dict().items() if not weight.equal(before[name])}
        assert changed and all(".self_attn.k_proj." in name for name in changed)
        name = next(name for name in changed if name.endswith("k_proj.weight"))
        torch.testing.assert_close(encoder.state_dict()[name], before[name] * 0.25)

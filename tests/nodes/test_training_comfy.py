"""ComfyUI's training node: latents and an encoded prompt as a training set, and the training that it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.training.batches import Batches
from engine.errors import InvalidInput
from engine.graph import Expand, Link
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.conditioning import Area, Condition, Conditioning
from engine.values.latent import Latent
from nodes.training_comfy import train_lora_node

MODEL = load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors").model


def latent(count: int) -> Latent:
    return Latent(torch.randn(count, 4, 8, 12, generator=torch.Generator().manual_seed(1)))


def prompts(count: int) -> Conditioning:
    return Conditioning(Condition(torch.full((1, 77, 8), float(number)), pooled=torch.zeros(1, 8)) for number in range(count))


def test_latents_and_prompts_go_together(ctx):
    given = latent(3)
    expanded = train_lora_node(ctx, MODEL, given, prompts(3), batch_size=3, steps=5, grad_accumulation_steps=2, seed=7)
    assert isinstance(expanded, Expand)
    inputs = expanded.graph.nodes["train"].inputs
    batch = Batches(inputs["data"], batch_size=3, seed=0).batch(0)
    for place, number in enumerate(batch.examples):
        assert torch.allclose(batch.latents[place], given.samples[number] * 0.18215, atol=1e-6)
        assert (batch.context[place] == number).all()
    plan, adapter = inputs["plan"], inputs["adapter"]
    assert (plan.steps, plan.batch_size, plan.accumulation, plan.seed, plan.checkpointing) == (5, 3, 2, 7, True)
    assert (adapter.kind, adapter.rank, adapter.alpha, adapter.conv_rank) == ("lora", 8, 1.0, 8)
    assert expanded.outputs == (Link("model", 0), Link("train", 0), Link("train", 1), 5)


def test_one_prompt_is_for_all_and_other_counts_are_refused(ctx):
    data = train_lora_node(ctx, MODEL, latent(3), prompts(1)).graph.nodes["train"].inputs["data"]
    assert {example.captions for example in data.dataset.examples} == {("prompt 0",)}
    with pytest.raises(InvalidInput, match="3 latents do not go with 2 prompts"):
        train_lora_node(ctx, MODEL, latent(3), prompts(2))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mask": torch.ones(1, 8, 8)}, "mask of prompt 1"), ({"area": Area(8, 8, 0, 0)}, "area of prompt 1"),
        ({"start_percent": 0.2, "end_percent": 0.5}, "start_percent and end_percent of prompt 1"), ({"strength": 0.5}, "strength"),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_refused_by_name(ctx, changes, named):
    first, second = prompts(2)
    with pytest.raises(InvalidInput, match=f"{named}.* would have no effect"):
        train_lora_node(ctx, MODEL, latent(2), Conditioning([first, replace(second, **changes)]))
    with pytest.raises(InvalidInput, match="mask on the latents"):
        train_lora_node(ctx, MODEL, replace(latent(1), noise_mask=torch.ones(1, 1, 8, 12)), prompts(1))


def test_every_algorithm_is_trained(ctx):
    for algorithm, kind in (("LoHa", "loha"), ("LoKr", "lokr"), ("OFT", "oft")):
        adapter = train_lora_node(ctx, MODEL, latent(1), prompts(1), algorithm=algorithm).graph.nodes["train"].inputs["adapter"]
        assert (adapter.kind, adapter.rank, adapter.conv_rank) == (kind, 8, 8)

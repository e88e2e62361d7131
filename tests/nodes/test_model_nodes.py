"""Nodes that change how a model is computed give another model and leave theirs, and the network, as they were."""

import copy

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.model_options import guidance
from engine.diffusion.sampling.guidance import CFG, GuidanceOptions
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.sample import sample_custom
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.graph import Context
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent
from engine.values.model import Model
from nodes.attention import unet_temporal_attention_multiply
from nodes.guidance import (
    perturbed_attention_guidance,
    renorm_cfg,
    self_attention_guidance,
    skip_layer_guidance,
    skip_layer_guidance_sd3,
    skip_layer_negative,
)
from nodes.inside import deep_shrink, freeu, freeu_v2, hypertile, token_merging
from nodes.model_speed import compile_model, compute_dtype, easy_cache, lazy_cache
from nodes.sampling import loaded
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


def words(seed: int) -> Conditioning:
    return Conditioning([Condition(torch.randn(1, 77, 64, generator=torch.Generator().manual_seed(seed)))])


POSITIVE, NEGATIVE = words(1), words(2)
PAIR = torch.tensor([8.0, 4.0])
"""One step, so that what a node does to it is seen at once."""


def drawn(memory: Memory, model: Model, told: list[dict] | None = None, size: int = 16) -> torch.Tensor:
    ctx = Context(memory=memory, on_emit=lambda name, data: told.append({"name": name, **data}) if told is not None else None)
    with loaded(ctx, model) as network:
        latent = Latent(torch.zeros(1, 4, size, size))
        return sample_custom(network, CFG(POSITIVE, NEGATIVE, 4.0), SAMPLERS["euler"], PAIR, latent, noise=Noise(3)).output.samples


CHANGES = {
    "freeu": freeu,
    "freeu v2": freeu_v2,
    "hypertile": lambda model: hypertile(model, tile_size=32),
    "token merging": token_merging,
    "deep shrink": lambda model: deep_shrink(model, end_percent=1.0),
    "perturbed attention": perturbed_attention_guidance,
    "self-attention": self_attention_guidance,
    "renormalized": lambda model: renorm_cfg(model, renorm_cfg=0.5),
    "compute dtype": lambda model: compute_dtype(model, "bf16"),
    "structural attention": lambda model: unet_temporal_attention_multiply(model, self_structural=0.5),
}
NOTHING = {
    "freeu": lambda model: freeu(model, 1, 1, 1, 1),
    "freeu v2": lambda model: freeu_v2(model, 1, 1, 1, 1),
    "hypertile, one tile": hypertile,
    "token merging": lambda model: token_merging(model, 0.0),
    "deep shrink": lambda model: deep_shrink(model, downscale_factor=1.0),
    "perturbed attention": lambda model: perturbed_attention_guidance(model, 0.0),
    "self-attention": lambda model: self_attention_guidance(model, 0.0),
    "compute dtype": compute_dtype,
    "temporal attention of an image model": lambda model: unet_temporal_attention_multiply(model, self_temporal=0.5, cross_temporal=2),
    "EasyCache": lambda model: easy_cache(model, 0.0),
    "LazyCache": lambda model: lazy_cache(model, 0.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_node_changes_what_is_drawn_and_not_the_model_it_was_given(checkpoint, memory, name):
    before = drawn(memory, checkpoint.model)
    options = copy.copy(dict(checkpoint.model.options))
    changed = drawn(memory, CHANGES[name](checkpoint.model))
    assert changed.isfinite().all() and not torch.allclose(changed, before, atol=1e-3)
    assert dict(checkpoint.model.options) == options and guidance(checkpoint.model) != GuidanceOptions(keep_uncond=True)
    assert drawn(memory, checkpoint.model).equal(before)


@pytest.mark.parametrize("name", NOTHING)
def test_a_node_turned_down_to_nothing_is_bit_identical_to_none(checkpoint, memory, name):
    model = NOTHING[name](checkpoint.model)
    assert drawn(memory, model).equal(drawn(memory, checkpoint.model))


def test_nodes_add_up(checkpoint, memory):
    both = drawn(memory, token_merging(freeu(checkpoint.model)))
    alone = [drawn(memory, node(checkpoint.model)) for node in (freeu, token_merging)]
    assert not any(torch.allclose(both, one, atol=1e-3) for one in alone)


@pytest.mark.parametrize("node", [skip_layer_guidance, skip_layer_guidance_sd3, skip_layer_negative])
def test_skip_layer_guidance_on_a_u_net_says_that_it_does_nothing(checkpoint, node):
    told: list[str] = []
    ctx = Context(on_emit=lambda name, data: told.append(f"{name}: {data['message']} {data['hint']}"))
    assert node(ctx, checkpoint.model) is checkpoint.model
    assert len(told) == 1 and told[0].startswith("warning: Skip-layer guidance does nothing") and "perturbed-attention" in told[0]


def test_two_number_formats_of_one_model_are_two_networks(checkpoint):
    memory = Memory(choose("cpu", "reference"))
    with memory.unet(checkpoint.model) as plain, memory.unet(compute_dtype(checkpoint.model, "bf16")) as narrow:
        assert (plain.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    with memory.unet(compute_dtype(checkpoint.model, "fp32")) as again:
        assert again is plain


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_a_compiled_model_draws_the_same_and_is_compiled_once_per_shape(checkpoint, backend):
    memory, told = Memory(choose("cpu", "reference")), []
    assert compile_model(checkpoint.model).options["compile"] == "inductor"
    model = checkpoint.model.with_options(compile=backend)

    def same(change, size=16):
        wanted = drawn(memory, change(checkpoint.model), size=size)
        torch.testing.assert_close(drawn(memory, change(model), told, size), wanted, atol=1e-3, rtol=1e-3)

    for _ in range(2):
        same(lambda model: model)
    assert [event["name"] for event in told] == ["progress_text"]
    assert f"Compiling the network with {backend} for a latent batch of 2 x 4 x 16 x 16" in told[0]["text"]
    same(freeu)
    same(lambda model: unet_temporal_attention_multiply(model, self_structural=0.5))
    assert len(told) == 1
    same(lambda model: model, size=8)
    assert len(told) == 2

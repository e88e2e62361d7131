"""Perturbed-attention, self-attention and skip-layer guidance: the formulas written out on captured attention inputs."""

from dataclasses import replace

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.inside.attention_guidance import (
    PerturbedAttention,
    SelfAttentionGuidance,
    blurred,
    blurred_where_looked_at,
    importance,
    looked_at,
    without_attention,
)
from engine.diffusion.inside.skip_layers import SkipLayerGuidance, SkippedLayers, numbers
from engine.diffusion.inside.unet_blocks import middle
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.denoiser import GuidedDenoiser
from engine.diffusion.sampling.guidance import CFG, GuidanceOptions
from engine.diffusion.sampling.inside import Changes
from engine.diffusion.sampling.latent_format import LatentFormat
from engine.diffusion.sampling.model import DiffusionModel, Start
from engine.diffusion.sampling.prediction import prediction_of
from engine.diffusion.unet import diffusion_model
from engine.errors import InvalidInput
from engine.values.conditioning import Area, Condition, Conditioning
from tests.diffusion import small_checkpoint

SIGMA = torch.tensor(3.0)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = random(1, 2, 4, 8, 8) * 3
WORDS = Conditioning([Condition(random(2, 1, 77, 64))])
NO_WORDS = Conditioning([Condition(random(3, 1, 77, 64))])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    checkpoint = load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))
    with diffusion_model(Memory(choose("cpu", "reference")), checkpoint.model) as model:
        yield model


def denoised(model: DiffusionModel, guider: CFG, x: Tensor = X, sigma: Tensor = SIGMA, **hooks) -> Tensor:
    changed = replace(model, options=GuidanceOptions().adding(**hooks))
    start = Start(noise=torch.zeros_like(x), latent=torch.zeros_like(x), mask=None)
    return GuidedDenoiser(changed, guider, start, torch.tensor([14.0, 0.0]))(x, sigma)


def one_side(model: DiffusionModel, side: Conditioning, x: Tensor = X, **hooks) -> Tensor:
    return denoised(model, CFG(side), x, **hooks)


def unet_of(model: DiffusionModel):
    return model.network._unet


@torch.no_grad()
def test_perturbed_attention_is_the_difference_to_a_network_whose_middle_attention_is_its_values(model):
    x = random(8, 2, 4, 16, 16) * 3
    unet = unet_of(model)
    attention = middle(unet)[0].transformer_blocks[0].attn1
    seen = []
    hook = attention.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    guided = denoised(model, CFG(WORDS, NO_WORDS, 4.0), x, after=PerturbedAttention(2.5))
    hook.remove()
    assert [len(tokens) for tokens in seen] == [4, 2]

    def values_only(attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **rest):
        return attn.to_out[1](attn.to_out[0](attn.to_v(hidden_states)))

    plain, cond = denoised(model, CFG(WORDS, NO_WORDS, 4.0), x), one_side(model, WORDS, x)
    processor = attention.processor
    attention.set_processor(values_only)
    perturbed = one_side(model, WORDS, x)
    attention.set_processor(processor)
    assert not torch.allclose(perturbed, cond, atol=1e-5)
    torch.testing.assert_close(guided, plain + 2.5 * (cond - perturbed), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_is_looked_at_is_the_mean_over_heads_of_the_softmax(model):
    attention = middle(unet_of(model))[0].transformer_blocks[0].attn1
    tokens = random(5, 2, 9, attention.to_q.in_features)
    wanted = torch.zeros(2, 9)
    width = attention.to_q.out_features // attention.heads
    query, key = attention.to_q(tokens), attention.to_k(tokens)
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        scores = torch.softmax(query[..., part] @ key[..., part].transpose(1, 2) / width**0.5, dim=-1)
        wanted += scores.sum(dim=1) / attention.heads
    torch.testing.assert_close(looked_at(attention, tokens), wanted)
    torch.testing.assert_close(wanted.sum(1), torch.full((2,), 9.0))


def test_a_blur_is_the_gaussian_s_and_only_where_much_is_looked_at():
    impulse = torch.zeros(1, 1, 17, 17)
    impulse[0, 0, 8, 8] = 1.0
    offsets = torch.arange(-4, 5).float()
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    torch.testing.assert_close(blurred(impulse, 1.5)[0, 0, 4:13, 4:13], torch.outer(line, line) / line.sum() ** 2)
    assert blurred(impulse, 0).equal(impulse)
    x, looked = random(6, 1, 4, 16, 16), torch.tensor([[[1.2, 0.8], [0.7, 1.3]]])
    mixed = blurred_where_looked_at(x, looked, 2.0)
    assert mixed[..., :8, 8:].equal(x[..., :8, 8:]) and mixed[..., 8:, :8].equal(x[..., 8:, :8])
    torch.testing.assert_close(mixed[..., :8, :8], blurred(x, 2.0)[..., :8, :8])


@torch.no_grad()
def test_self_attention_guidance_is_its_formula_on_the_negative_s_captured_attention(model):
    x = random(8, 2, 4, 16, 16) * 3
    block = middle(unet_of(model))[0].transformer_blocks[0]
    inputs = []
    hook = block.attn1.register_forward_hook(lambda module, args, output: inputs.append(args[0]))
    guider = CFG(WORDS, NO_WORDS, 4.0)
    guided = denoised(model, guider, x, inside=importance, after=SelfAttentionGuidance(0.75, 2.0))
    hook.remove()
    plain, uncond = denoised(model, guider, x), one_side(model, NO_WORDS, x)
    looked = looked_at(block.attn1, inputs[0][:2]).view(2, 2, 2)  # the negative's rows come first
    degraded = blurred_where_looked_at(uncond, looked, 2.0)
    assert 0 < float((degraded != uncond).float().mean()) < 1
    wanted = plain + 0.75 * (degraded - one_side(model, NO_WORDS, degraded + x - uncond))
    torch.testing.assert_close(guided, wanted, atol=1e-4, rtol=1e-4)


def test_self_attention_guidance_without_a_negative_or_with_areas_works(model):
    area = Conditioning([*NO_WORDS, Condition(random(9, 1, 77, 64), area=Area(4, 4, 0, 0))])
    x = random(8, 1, 4, 16, 16) * 3
    for guider in (CFG(WORDS), CFG(WORDS, area, 4.0)):
        guided = denoised(model, guider, x, inside=importance, after=SelfAttentionGuidance())
        assert guided.isfinite().all() and not torch.allclose(guided, denoised(model, guider, x), atol=1e-4)


def test_self_attention_guidance_with_nothing_but_areas_says_what_is_missing(model):
    area = Conditioning([Condition(random(9, 1, 77, 64), area=Area(4, 4, 0, 0))])
    for guider, side in ((CFG(area), "positive"), (CFG(WORDS, area, 4.0), "negative")):
        with pytest.raises(InvalidInput, match=f"{side} prompt for the whole picture"):
            denoised(model, guider, inside=importance, after=SelfAttentionGuidance())


@pytest.mark.parametrize("middle_block", ["UNetMidBlock2D", None])
def test_a_network_without_attention_in_its_middle_says_so(middle_block):
    network = UNet2DConditionModel(
        block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), mid_block_type=middle_block,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), layers_per_block=1, norm_num_groups=4, cross_attention_dim=64,
        attention_head_dim=4,
    )  # fmt: skip
    for change in (without_attention, importance):
        with pytest.raises(InvalidInput, match="no attention in the middle"):
            list(change(network, None))


@pytest.mark.parametrize("after", [PerturbedAttention(0.0), SelfAttentionGuidance(0.0), SkipLayerGuidance((1,), (), 0.0)])
def test_at_scale_0_guidance_is_bit_identical_to_none(model, after):
    guider = CFG(WORDS, NO_WORDS, 4.0)
    assert denoised(model, guider, after=after).equal(denoised(model, guider))


def test_a_step_computed_in_halves_is_guided_alike(model, monkeypatch):
    guider = CFG(WORDS, NO_WORDS, 4.0)
    hooks = {"inside": importance, "after": SelfAttentionGuidance()}
    wanted = denoised(model, guider, **hooks)
    unet = unet_of(model)
    forward = type(unet).forward

    def narrow(module, sample, *arguments, **options):
        if len(sample) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(module, sample, *arguments, **options)

    monkeypatch.setattr(type(unet), "forward", narrow)
    torch.testing.assert_close(denoised(model, guider, **hooks), wanted, atol=1e-3, rtol=1e-3)


class Transformer:
    """A small diffusion transformer of diffusers as the sampler's network."""

    def __init__(self, kind: str) -> None:
        torch.manual_seed(0)
        sizes = {"num_layers": 3, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 64, "pooled_projection_dim": 16}
        if kind == "sd3":
            self.module = SD3Transformer2DModel(sample_size=8, in_channels=4, out_channels=4, caption_projection_dim=16, **sizes)
        else:
            self.module = FluxTransformer2DModel(in_channels=16, num_single_layers=3, axes_dims_rope=(2, 2, 4), **sizes)
        self.module.eval()
        self.kind = kind

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, changes: Changes | None = None) -> Tensor:
        if changes is None:
            return self.run(x, timestep, context)
        with changes.on(self.module, 0, len(x)):
            return self.run(x, timestep, context)

    def run(self, x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        inputs = {
            "encoder_hidden_states": context,
            "pooled_projections": torch.zeros(len(x), 16),
            "timestep": timestep,
            "return_dict": False,
        }
        if self.kind == "sd3":
            return self.module(hidden_states=x, **inputs)[0]
        patches = x.view(len(x), 4, 4, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).reshape(len(x), 16, 16)
        places = torch.zeros(16, 3)
        out = self.module(hidden_states=patches, img_ids=places, txt_ids=torch.zeros(context.shape[1], 3), **inputs)[0]
        return out.view(len(x), 4, 4, 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


@pytest.fixture(scope="module", params=["sd3", "flux"])
def transformer(request):
    network = Transformer(request.param)
    return DiffusionModel(network=network, prediction=prediction_of("flow_sd3"), latent_format=LatentFormat())


def without(model: DiffusionModel, side: Conditioning, **lists: list[int]) -> Tensor:
    """The prediction of one side when these layers are taken out of the network's lists."""
    module = model.network.module
    kept = {name: getattr(module, name) for name in lists}
    try:
        for name, skipped in lists.items():
            setattr(module, name, torch.nn.ModuleList(layer for number, layer in enumerate(kept[name]) if number not in skipped))
        return denoised(model, CFG(side), sigma=torch.tensor(0.9))
    finally:
        for name, layers in kept.items():
            setattr(module, name, layers)


def skipped_lists(model: DiffusionModel) -> tuple[tuple[int, ...], dict[str, list[int]]]:
    if model.network.kind == "sd3":
        return (), {"transformer_blocks": [0, 1]}
    return (2, 0, 9), {"transformer_blocks": [0, 1], "single_transformer_blocks": [0, 2]}


@pytest.mark.parametrize("rescaling", [0.0, 0.7])
def test_skip_layer_guidance_is_the_difference_to_a_network_without_the_layers(transformer, rescaling):
    single, lists = skipped_lists(transformer)
    guider, sigma = CFG(WORDS, NO_WORDS, 4.0), torch.tensor(0.9)
    guided = denoised(transformer, guider, sigma=sigma, after=SkipLayerGuidance((0, 1), single, 2.0, 0.0, 0.5, rescaling))
    plain, cond = denoised(transformer, guider, sigma=sigma), denoised(transformer, CFG(WORDS), sigma=sigma)
    skipped = without(transformer, WORDS, **lists)
    wanted = plain + 2.0 * (cond - skipped)
    wanted = wanted * (rescaling * (cond.std() / wanted.std()) + 1 - rescaling)
    assert not torch.allclose(cond, skipped, atol=1e-4)
    torch.testing.assert_close(guided, wanted, atol=1e-4, rtol=1e-4)


def test_skip_layer_guidance_is_bit_identical_to_none_outside_of_its_part(transformer):
    guider, sigma = CFG(WORDS, NO_WORDS, 4.0), torch.tensor(0.5)
    plain = denoised(transformer, guider, sigma=sigma)
    for hooks in ({"after": SkipLayerGuidance((0, 1), ())}, {"inside": SkippedLayers((0, 1), (), 0.0, 0.15, sides=(1,))}):
        assert denoised(transformer, guider, sigma=sigma, **hooks).equal(plain)


def test_a_negative_without_layers_leaves_the_positive_as_it_is(transformer):
    single, lists = skipped_lists(transformer)
    guider, sigma = CFG(WORDS, NO_WORDS, 4.0), torch.tensor(0.9)
    guided = denoised(transformer, guider, sigma=sigma, inside=SkippedLayers((0, 1), single, sides=(1,)))
    cond, skipped = denoised(transformer, CFG(WORDS), sigma=sigma), without(transformer, NO_WORDS, **lists)
    torch.testing.assert_close(guided, skipped + 4.0 * (cond - skipped), atol=1e-4, rtol=1e-4)


def test_numbers_are_read_from_any_list():
    assert numbers("7, 8, 9") == numbers("[7;8 9]") == (7, 8, 9)
    assert numbers("") == numbers("none") == ()


def test_a_method_for_u_nets_on_a_transformer_says_so(transformer):
    with pytest.raises(Exception, match="A method for U-Nets was put on a model whose network is a"):
        denoised(transformer, CFG(WORDS), sigma=torch.tensor(0.9), inside=without_attention)

"""The node of A1111's prompts: LoRAs, wildcards, styles, and AND as its formula in a sampled step."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.guidance import CFG
from engine.diffusion.sampling.noise import Noise
from engine.diffusion.sampling.sample import sample_custom
from engine.diffusion.sampling.samplers import SAMPLERS
from engine.diffusion.unet import diffusion_model
from engine.errors import InvalidInput, MissingFile, QuotaExceeded
from engine.graph import Context
from engine.values.latent import Latent
from nodes.prompt_a1111 import _files, prompt_a1111, prompt_variants, style_a1111
from tests.diffusion import small_checkpoint


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


@pytest.fixture
def ctx(ctx, memory) -> Context:
    return Context(folders=ctx.folders, job=ctx.job, memory=memory)


def write_lora(ctx: Context, name: str) -> None:
    path = ctx.folders.models / "loras" / name
    path.parent.mkdir(exist_ok=True)
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    text = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    tensors = {f"{module}.lora_down.weight": torch.ones(1, 32), f"{module}.lora_up.weight": torch.ones(32, 1)}
    tensors |= {f"{text}.lora_down.weight": torch.ones(1, 64), f"{text}.lora_up.weight": torch.ones(64, 1)}
    save_file(tensors, path)


def test_loras_go_on_model_and_encoder_with_their_strengths(ctx, loaded):
    write_lora(ctx, "night.safetensors")
    write_lora(ctx, "deep/day.safetensors")
    result = prompt_a1111(ctx, loaded.model, loaded.clip, "a <lora:night:0.5> cat <lora:day:0.25:1>")
    assert [patch.strength for patch in result.model.patches] == [0.5, 1.0]
    assert [patch.strength for patch in result.clip.patches] == [0.5, 0.25]
    assert result.positive_text == "a <lora:night:0.5> cat <lora:day:0.25:1>"
    plain = prompt_a1111(ctx, loaded.model, loaded.clip, "a  cat ")
    assert not torch.allclose(result.positive[0].context, plain.positive[0].context)


def test_an_unknown_lora_is_an_error_with_near_names(ctx, loaded):
    write_lora(ctx, "night.safetensors")
    with pytest.raises(MissingFile, match="'nigth'") as error:
        prompt_a1111(ctx, loaded.model, loaded.clip, "<lora:nigth:1>")
    assert "night" in error.value.hint


def test_an_unknown_kind_of_network_is_left_out_with_a_warning(ctx, loaded):
    told = []
    ctx = Context(folders=ctx.folders, memory=ctx.memory, on_emit=lambda name, data: told.append(data["message"]))
    (condition,) = prompt_a1111(ctx, loaded.model, loaded.clip, "a <thing:x:1>").positive
    assert torch.equal(condition.context, prompt_a1111(ctx, loaded.model, loaded.clip, "a ").positive[0].context)
    assert len(told) == 1 and "<thing:x:1>" in told[0]


def test_wildcards_come_from_the_folder_and_follow_the_seed(ctx, loaded):
    folder = ctx.folders.data / "wildcards"
    (folder / "deep").mkdir()
    (folder / "colour.txt").write_text("# colours\nred\n\n blue \n")
    (folder / "deep" / "shape.txt").write_text("circle\n__colour__ square\n")
    texts = {prompt_variants(ctx, "a __colour__ __deep/*__", seed) for seed in range(30)}
    assert texts == {f"a {first} {second}" for first in ("red", "blue") for second in ("circle", "red square", "blue square")}
    assert prompt_a1111(ctx, loaded.model, loaded.clip, "a __colour__ __deep/*__", seed=3).positive_text in texts
    assert prompt_a1111(ctx, loaded.model, loaded.clip, "{a|b} __colour__", variants=False).positive_text == "{a|b} __colour__"
    with pytest.raises(MissingFile, match="'color'") as error:
        prompt_a1111(ctx, loaded.model, loaded.clip, "__color__")
    assert "colour" in error.value.hint


def test_variants_alone_are_for_any_text_node(ctx):
    texts = {prompt_variants(ctx, "a {red|blue} (circle:1.2)", seed) for seed in range(20)}
    assert texts == {"a red (circle:1.2)", "a blue (circle:1.2)"}


def test_files_that_a_prompt_calls_belong_to_its_fingerprint(ctx):
    (ctx.folders.data / "wildcards" / "colour.txt").write_text("red\n")
    write_lora(ctx, "night.safetensors")
    arguments = (ctx, "a __colour__ thing <lora:night:1>", "", 0, True)
    first = _files(*arguments)
    assert _files(*arguments) == first
    (ctx.folders.data / "wildcards" / "colour.txt").write_text("blue\n")
    second = _files(*arguments)
    save_file({"emb_params": torch.zeros(1, 64)}, ctx.folders.models / "embeddings" / "thing.safetensors")
    third = _files(*arguments)
    assert len({str(each) for each in (first, second, third)}) == 3


def test_clip_skip_is_an_earlier_layer(ctx, loaded):
    skipped = prompt_a1111(ctx, loaded.model, loaded.clip, "a cat", clip_skip=2)
    assert skipped.clip.skip == -2 and loaded.clip.skip is None
    assert not torch.allclose(skipped.positive[0].context, prompt_a1111(ctx, loaded.model, loaded.clip, "a cat").positive[0].context)


def test_styles_are_read_from_the_table(ctx):
    (ctx.folders.data / "styles" / "styles.csv").write_text('name,prompt,negative_prompt\nold,"a painting of {prompt}",blurry\n')
    assert style_a1111(ctx, "a cat", "", "old\n", file="styles.csv") == ("a painting of a cat", "blurry")
    with pytest.raises(InvalidInput):
        style_a1111(ctx, "a cat", "", "odl", file="styles.csv")


def test_and_draws_what_its_formula_says(ctx, loaded):
    """One step of Euler to 0 gives the guided prediction itself: D = U + sum of w * cfg * (C - U)."""
    sigmas, cfg = torch.tensor([7.0, 0.0]), 5.0

    def drawn(positive, scale: float) -> torch.Tensor:
        with diffusion_model(ctx.memory, loaded.model) as network:
            guider = CFG(positive, prompts.negative, scale)
            latent = Latent(torch.zeros(1, 4, 8, 8))
            return sample_custom(network, guider, SAMPLERS["euler"], sigmas, latent, noise=Noise(3)).output.samples

    prompts = prompt_a1111(ctx, loaded.model, loaded.clip, "a red circle :1.2 AND a blue square :-0.4 AND a cat", "bad")
    parts = [prompt_a1111(ctx, loaded.model, loaded.clip, text).positive for text in ("a red circle", " a blue square", " a cat")]
    uncond = drawn(prompts.negative, 1.0)
    alone = [drawn(part, 1.0) for part in parts]
    expected = uncond + sum(weight * cfg * (own - uncond) for weight, own in zip((1.2, -0.4, 1.0), alone, strict=True))
    torch.testing.assert_close(drawn(prompts.positive, cfg), expected, rtol=1e-3, atol=1e-3)


def test_wildcards_that_multiply_are_read_once_each_and_refused(ctx, monkeypatch):
    """Twenty files that call the next one twenty times each come to a million calls before the limit."""
    for number in range(20):
        (ctx.folders.data / "wildcards" / f"w{number}.txt").write_text(f"__w{number + 1}__" * 20 if number < 19 else "x")
    read = Path.read_text
    names: list[str] = []
    monkeypatch.setattr(Path, "read_text", lambda path, *options, **named: names.append(path.stem) or read(path, *options, **named))
    with pytest.raises(QuotaExceeded):
        prompt_variants(ctx, "__w0__", seed=1)
    assert sorted(names) == sorted(f"w{number}" for number in range(20))

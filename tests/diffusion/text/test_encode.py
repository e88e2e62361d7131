"""Prompts through a text encoder, compared with the transformers module called by hand."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.chunks import chunk
from engine.diffusion.text.encode import encode
from tests.diffusion import small_checkpoint

PREFIX = "cond_stage_model.transformer.text_model."


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


@pytest.fixture(scope="module")
def clip(file):
    return load_checkpoint(file).clip


@pytest.fixture(scope="module")
def expected(file):
    """transformers' own module with the file's weights, in float32."""
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, hidden_act="quick_gelu"
    )
    module = CLIPTextModel(config).eval()
    state = {name.removeprefix(PREFIX): value.float() for name, value in load_file(file).items() if name.startswith(PREFIX)}
    module.load_state_dict(state)

    @torch.no_grad()
    def run(text: str):
        ids = torch.tensor([[token.id for token in row] for row in chunk(text)])
        return module(input_ids=ids, output_hidden_states=True), module

    return run


def test_a_prompt_is_the_last_layer_after_its_norm_and_pooled_at_the_end_of_the_text(clip, memory, expected):
    (condition,) = encode(memory, clip, "a red circle")
    output, _ = expected("a red circle")
    torch.testing.assert_close(condition.context, output.last_hidden_state)
    torch.testing.assert_close(condition.pooled, output.last_hidden_state[:, 4])


def test_clip_skip_is_an_earlier_layer_with_the_last_norm(clip, memory, expected):
    output, module = expected("a red circle")
    (condition,) = encode(memory, clip.with_skip(-2), "a red circle")
    torch.testing.assert_close(condition.context, module.final_layer_norm(output.hidden_states[-2]).detach())
    (last,) = encode(memory, clip.with_skip(-1), "a red circle")
    torch.testing.assert_close(last.context, output.last_hidden_state)


def test_a_skip_past_the_first_layer_takes_the_last_one(clip, memory):
    (far,), (last,) = encode(memory, clip.with_skip(-24), "a cat"), encode(memory, clip, "a cat")
    assert torch.equal(far.context, last.context)


def test_a_weight_moves_only_its_tokens_away_from_the_empty_prompt(clip, memory, expected):
    (plain,), (weighted,) = encode(memory, clip, "a red circle"), encode(memory, clip, "a (red:1.5) circle")
    empty = expected("")[0].last_hidden_state
    wanted = plain.context.clone()
    wanted[:, 2] = empty[:, 2] + 1.5 * (plain.context[:, 2] - empty[:, 2])
    torch.testing.assert_close(weighted.context, wanted)
    torch.testing.assert_close(weighted.pooled, plain.pooled)


def test_weight_zero_is_the_empty_prompts_token(clip, memory, expected):
    (condition,) = encode(memory, clip, "(red:0)")
    torch.testing.assert_close(condition.context[:, 1], expected("")[0].last_hidden_state[:, 1])


def test_a_long_prompt_becomes_chunks_side_by_side(clip, memory, expected):
    text = "red " * 200
    (condition,) = encode(memory, clip, text)
    assert condition.context.shape == (1, 231, 64)
    torch.testing.assert_close(condition.context, expected(text)[0].last_hidden_state.reshape(1, 231, 64))
    assert condition.pooled.shape == (1, 64)


def test_more_chunks_than_one_call_takes_give_the_same(clip, memory):
    (long,) = encode(memory, clip, "red " * 75 * 40)
    (short,) = encode(memory, clip, "red " * 75)
    torch.testing.assert_close(long.context[:, :77], short.context)
    torch.testing.assert_close(long.context[:, -77:], short.context)


def test_the_weights_are_rounded_to_float16_as_comfyui_keeps_them(tmp_path):
    exact = {name: value.float() * 1.0001 for name, value in small_checkpoint.tensors().items()}
    rounded = {name: value.half() for name, value in exact.items()}
    files = [small_checkpoint.write(tmp_path / f"{number}.safetensors", found) for number, found in enumerate((exact, rounded))]
    contexts = {
        (number, precision): encode(Memory(choose("cpu", precision)), load_checkpoint(file).clip, "a cat")[0].context
        for number, file in enumerate(files)
        for precision in ("reference", "fp32")
    }
    assert torch.equal(contexts[0, "reference"], contexts[1, "reference"])
    assert not torch.equal(contexts[0, "fp32"], contexts[1, "fp32"])

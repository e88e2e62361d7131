"""A1111's chunks and weights: against the formula written out on what the text encoder gives, and whole prompts as conditionings."""

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.a1111.chunks import LearnedNames, chunks_of
from engine.diffusion.text.a1111.emphasis import parse_emphasis
from engine.diffusion.text.a1111.encode import encode_texts, weighted
from engine.diffusion.text.a1111.prompt import Timing, encode_prompts
from engine.diffusion.text.chunks import empty_chunk
from engine.diffusion.text.embeddings import Words
from engine.diffusion.text.encode import encode, encode_chunks, learned
from engine.diffusion.text.tokenizer import EOS, token_ids
from engine.values.conditioning import StepRanges
from engine.values.embedding import Embedding
from tests.diffusion import small_checkpoint

WORDS = Words()


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")).clip


def chunks(text: str, clip=None, *names: str):
    words = learned(clip, WORDS) if clip else None
    return chunks_of(parse_emphasis(text), EOS, LearnedNames(names, words))


def lengths(text: str) -> list[int]:
    return [[token.id for token in row].index(EOS) - 1 for row in chunks(text)]


def test_chunks_have_75_tokens_and_end_at_break():
    assert lengths("cat " * 75) == [75]
    assert lengths("cat " * 76) == [75, 1]
    assert lengths("cat dog BREAK cat") == [2, 1]
    assert lengths("cat BREAK BREAK dog BREAK") == [1, 0, 1]
    assert lengths("") == lengths("BREAK") == [0]


def test_a_full_chunk_gives_what_stands_after_its_last_comma_to_the_next():
    assert lengths("cat " * 60 + "," + "dog " * 20) == [61, 20]
    assert lengths("cat " * 55 + "," + "dog " * 20) == [56, 20]
    assert lengths("cat " * 54 + "," + "dog " * 21) == [75, 1]  # 21 tokens would move
    assert lengths("cat " * 74 + ", dog") == [75, 1]
    assert lengths("cat " * 75 + ", dog") == [75, 2]


def test_every_chunk_is_encoded_by_itself_and_weights_restore_the_mean(clip, memory):
    text = "a (red:1.5) circle BREAK [dark]"
    (condition,) = encode_texts(memory, clip, {text: 1}, "Original", WORDS)
    plain = encode_chunks(memory, clip, chunks("a red circle BREAK dark")).hidden
    weights = torch.ones(2, 77)
    weights[0, 2], weights[1, 1] = 1.5, 1 / 1.1
    wanted = plain * weights[..., None]
    wanted *= (plain.mean(dim=(1, 2)) / wanted.mean(dim=(1, 2)))[:, None, None]
    torch.testing.assert_close(condition.context, wanted.reshape(1, 154, 64))
    (no_norm,) = encode_texts(memory, clip, {text: 1}, "No norm", WORDS)
    torch.testing.assert_close(no_norm.context, (plain * weights[..., None]).reshape(1, 154, 64))


def test_emphasis_can_be_ignored_or_left_as_text(clip, memory):
    (ignored,) = encode_texts(memory, clip, {"a (red:1.5) [circle] BREAK x": 1}, "Ignore", WORDS)
    torch.testing.assert_close(ignored.context, encode_texts(memory, clip, {"a red circle BREAK x": 1}, "Original", WORDS)[0].context)
    (text,) = encode_texts(memory, clip, {"a (red)": 1}, "None", WORDS)
    torch.testing.assert_close(text.context, encode(memory, clip, r"a \(red\)")[0].context)


def test_without_weights_a_short_prompt_is_what_comfyui_makes_of_it(clip, memory):
    (condition,) = encode_texts(memory, clip, {"a red circle": 1}, "Original", WORDS)
    (other,) = encode(memory, clip, "a red circle")
    assert torch.equal(condition.context, other.context) and torch.equal(condition.pooled, other.pooled)


def test_the_texts_of_one_prompt_share_the_mean_by_how_often_they_stand_and_the_number_of_chunks(clip, memory):
    texts = {"a (red:1.5)": 3, "(blue:0.5) BREAK b": 1}
    one, two = encode_texts(memory, clip, texts, "Original", WORDS)
    plain = encode_chunks(memory, clip, [*chunks("a red"), empty_chunk(), *chunks("blue BREAK b")]).hidden.unflatten(0, (2, 2))
    weights = torch.ones(2, 2, 77)
    weights[0, 0, 2], weights[1, 0, 1] = 1.5, 0.5
    batch, batch_weights = plain[[0, 0, 0, 1]], weights[[0, 0, 0, 1]][..., None]
    ratio = batch.mean(dim=(0, 2, 3)) / (batch * batch_weights).mean(dim=(0, 2, 3))
    wanted = plain * weights[..., None] * ratio[None, :, None, None]
    torch.testing.assert_close(torch.stack([one.context, two.context]).reshape(2, 2, 77, 64), wanted)


def test_a_chunk_whose_mean_becomes_zero_stays_finite():
    assert weighted(torch.ones(1, 1, 77, 8), torch.zeros(1, 1, 77), torch.ones(1), restore=True).eq(0).all()


def test_learned_words_are_found_by_their_bare_names_the_longest_first(clip):
    known = clip.with_embedding(Embedding("thing", {"clip_l": torch.ones(1, 64)}))
    known = known.with_embedding(Embedding("thing two", {"clip_l": torch.full((3, 64), 2.0)}))
    (row,) = chunks("a Thing two and a thing, things", known, "thing", "thing two")
    got = [float(token.vector[0]) if token.vector is not None else token.id for token in row if token.id != EOS][1:]
    assert got == [*token_ids("a"), 2.0, 2.0, 2.0, *token_ids("and a"), 1.0, *token_ids(", things")]


def test_a_learned_word_is_not_cut_unless_it_is_longer_than_a_chunk(clip):
    known = clip.with_embedding(Embedding("thing", {"clip_l": torch.ones(10, 64)}))
    known = known.with_embedding(Embedding("giant", {"clip_l": torch.ones(100, 64)}))
    sizes = [sum(token.id != EOS for token in row) - 1 for row in chunks("cat " * 70 + "thing", known, "thing")]
    assert sizes == [70, 10]
    sizes = [sum(token.id != EOS for token in row) - 1 for row in chunks("cat giant dog", known, "giant")]
    assert sizes == [1, 75, 26]


def prompts(memory, clip, positive: str, negative: str = "", **timing):
    return encode_prompts(memory, clip, positive, negative, Timing(**{"steps": 10, **timing}), "Original", WORDS)


def test_a_plain_prompt_is_one_condition(clip, memory):
    positive, negative = prompts(memory, clip, "a red circle", "a cat")
    assert len(positive) == len(negative) == 1
    assert positive[0].steps is None and positive[0].strength == 1.0


def test_editing_becomes_a_condition_for_each_text_with_its_evaluations(clip, memory):
    positive, negative = prompts(memory, clip, "a [red:blue:0.5]", "[x|y]", steps=4)
    assert [condition.steps for condition in positive] == [StepRanges(4, ((0, 2),)), StepRanges(4, ((3, 4),))]
    assert [condition.steps for condition in negative] == [StepRanges(4, ((0, 1), (3, 3))), StepRanges(4, ((2, 2), (4, 4)))]
    torch.testing.assert_close(positive[1].context, encode(memory, clip, "a blue")[0].context)


def test_a_sampler_of_second_order_has_twice_the_evaluations(clip, memory):
    (first, _), _ = prompts(memory, clip, "[a:b:0.5]", second_order=True)
    assert first.steps == StepRanges(20, ((0, 10),))
    (first, _), _ = prompts(memory, clip, "[a:b:5]", second_order=True)
    assert first.steps == StepRanges(20, ((0, 5),))


def test_a_second_pass_has_steps_of_its_own(clip, memory):
    (first, _), _ = prompts(memory, clip, "[a:b:1.5]", first_pass_steps=30)
    assert first.steps == StepRanges(10, ((0, 5),))


def test_parts_and_what_is_missing_to_one_stand_side_by_side(clip, memory):
    positive, negative = prompts(memory, clip, "a red circle AND a cat :0.5", "bad")
    assert [condition.strength for condition in positive] == pytest.approx([1.0, 0.5, -0.5])
    assert positive[2].context is negative[0].context
    even, _ = prompts(memory, clip, "a :0.5 AND b :0.5", "bad")
    assert [condition.strength for condition in even] == [0.5, 0.5]
    without, _ = prompts(memory, clip, "a AND b :0", "bad")
    assert [condition.strength for condition in without] == [1.0]
    nothing, negative = prompts(memory, clip, "a :0", "bad")
    assert [condition.strength for condition in nothing] == [1.0] and nothing[0].context is negative[0].context
    both, _ = prompts(memory, clip, "a [b:c:5] AND d", "bad")
    assert [(condition.strength, condition.steps is None) for condition in both] == [(1, False), (1, False), (1, True), (-1, True)]

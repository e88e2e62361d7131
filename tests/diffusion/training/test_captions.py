"""Captions as they are drawn: what stays, what moves, what is dropped and how often; triggers."""

from __future__ import annotations

import random
from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.diffusion.text.chunks import chunk
from engine.diffusion.text.tokenizer import token_ids
from engine.diffusion.training.captions import draw, holds, is_dropped, plain, policy_of, replaced, trigger_warnings, with_trigger
from engine.errors import InvalidInput
from engine.values.dataset import CaptionPolicy

TAGS = "sks, a, b, c, d, e"
DRAWS = 4000


def drawn(text: str, count: int = DRAWS, step: int = 0, **policy) -> list[str]:
    rng = random.Random(7)
    return [draw((text,), CaptionPolicy(**policy), rng, step=step) for _ in range(count)]


def within_three_sigma(hits: int, count: int, chance: float) -> bool:
    return abs(hits - count * chance) <= 3 * sqrt(count * chance * (1 - chance))


def test_without_a_policy_the_caption_is_the_first_line_as_it_is() -> None:
    assert draw(("a  dog,with;;;odd spacing", "second"), CaptionPolicy(), random.Random(0)) == "a  dog,with;;;odd spacing"


def test_shuffling_keeps_the_first_tags_and_loses_none() -> None:
    captions = [caption.split(", ") for caption in drawn(TAGS, shuffle=True, keep_tokens=2)]
    assert all(tags[:2] == ["sks", "a"] and sorted(tags[2:]) == ["b", "c", "d", "e"] for tags in captions)
    orders = Counter(tuple(tags[2:]) for tags in captions)
    assert len(orders) == 24
    assert all(within_three_sigma(hits, DRAWS, 1 / 4) for hits in Counter(tags[2] for tags in captions).values())


def test_a_separator_marks_what_stays_in_front_and_at_the_end() -> None:
    for caption in drawn("sks, x ||| a, b, c ||| tail one, two", 200, shuffle=True, keep_tokens_separator="|||"):
        tags = caption.split(", ")
        assert tags[:2] == ["sks", "x"] and tags[-2:] == ["tail one", "two"] and sorted(tags[2:-2]) == ["a", "b", "c"]
    assert drawn("sks ||| a, b", 1, keep_tokens_separator="|||") == ["sks, a, b"]


def test_tags_joined_by_the_secondary_separator_stay_together() -> None:
    captions = drawn("a;;;b, c, d", 300, shuffle=True, secondary_separator=";;;")
    assert {tuple(sorted(caption.replace("a,b", "ab").split(", "))) for caption in captions} == {("ab", "c", "d")}
    assert len(set(captions)) == 6


def test_tags_are_dropped_at_their_rate_but_never_the_kept_ones() -> None:
    captions = [caption.split(", ") for caption in drawn(TAGS, tag_dropout=0.3, keep_tokens=1)]
    assert all(tags[0] == "sks" for tags in captions)
    for tag in "abcde":
        assert within_three_sigma(sum(tag not in tags for tags in captions), DRAWS, 0.3)
    assert drawn(TAGS, 1, tag_dropout=1.0, keep_tokens=1) == ["sks"]


def test_whole_captions_are_dropped_at_their_rate() -> None:
    rng = random.Random(1)
    assert within_three_sigma(sum(is_dropped(CaptionPolicy(dropout=0.2), rng, epoch=0) for _ in range(DRAWS)), DRAWS, 0.2)
    assert not any(is_dropped(CaptionPolicy(), rng, epoch=epoch) for epoch in range(20))


def test_every_nth_epoch_has_empty_captions() -> None:
    dropped = [is_dropped(CaptionPolicy(dropout_every_n_epochs=3), random.Random(0), epoch=epoch) for epoch in range(7)]
    assert dropped == [False, False, True, False, False, True, False]


def test_tags_warm_up() -> None:
    counts = [len(drawn("a, b, c, d, e", 1, step=step, warmup_steps=8, warmup_min=1)[0].split(", ")) for step in (0, 2, 4, 6, 7, 8, 100)]
    assert counts == [1, 2, 3, 4, 4, 5, 5]


def test_prefix_and_suffix_stand_around() -> None:
    assert drawn("a dog", 1, prefix="photo of", suffix="outdoors") == ["photo of a dog outdoors"]


def test_wildcards_draw_lines_and_choices() -> None:
    rng = random.Random(3)
    policy = CaptionPolicy(wildcards=True)
    seen = Counter(draw(("a {red|green} {{x}}", "b {1|2|3}"), policy, rng) for _ in range(DRAWS))
    assert set(seen) == {"a red {x}", "a green {x}", "b 1", "b 2", "b 3"}
    assert within_three_sigma(seen["a red {x}"], DRAWS, 1 / 4) and within_three_sigma(seen["b 1"], DRAWS, 1 / 6)


@given(st.text(alphabet="ab ()\\,:1.", max_size=30))
def test_brackets_of_a_caption_weigh_nothing(text: str) -> None:
    assert {token.weight for row in chunk(draw((text,), CaptionPolicy(), random.Random(0))) for token in row} == {1.0}


def test_brackets_are_read_as_brackets_unless_captions_are_weighted() -> None:
    ids = [token.id for token in chunk(plain("a (b:1.5) \\(c\\)"))[0]]
    wanted = token_ids("a (b:1.5) (c)")
    assert ids[1 : 1 + len(wanted)] == wanted
    assert drawn("a (b:1.5)", 1, weighted=True) == ["a (b:1.5)"]


def test_keeping_tags_where_none_move_is_refused() -> None:
    with pytest.raises(InvalidInput, match="keep_tokens=1 would have no effect"):
        policy_of(keep_tokens=1)
    assert policy_of(keep_tokens=1, shuffle=True).keep_tokens == 1


@pytest.mark.parametrize(
    ("caption", "result"),
    [("", "sks shape"), ("a red thing", "sks shape, a red thing"), ("a Sks  Shape on white", "a Sks  Shape on white"),
     ("two sks shapes", "sks shape, two sks shapes"), ("sks-shape", "sks shape, sks-shape")],
)  # fmt: skip
def test_the_trigger_is_put_before_captions_that_lack_it(caption: str, result: str) -> None:
    assert with_trigger(caption, "sks shape") == result
    assert with_trigger(result, "sks shape") == result


def test_words_are_found_and_replaced_whole() -> None:
    assert holds("a dog.", "dog") and not holds("a hotdog", "dog") and not holds("a dog", "")
    assert replaced("a SKS  shape, sks shapes", "sks shape", "shape") == "a shape, sks shapes"
    assert replaced("a+b (c)", "a+b", "\\1") == "\\1 (c)"


def test_a_trigger_that_is_cut_into_pieces_is_told_with_the_pieces() -> None:
    assert trigger_warnings("sks shape") == []
    (warning,) = trigger_warnings("pinwhl shape")
    assert "'pinwhl'" in warning and "pin + whl" in warning

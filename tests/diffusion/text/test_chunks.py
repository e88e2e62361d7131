"""Tokens and chunks: the same ids and weights as ComfyUI's."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffusion.text.chunks import LENGTH, chunk
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids
from tests.reference.result import Selection
from tests.reference.tokens import replay

FIGURES = Path(__file__).parents[2] / "data" / "reference"


def test_every_recorded_text_gives_the_recorded_tokens():
    results = list(replay(FIGURES, Selection()))
    assert len(results) == 42
    assert [result.name for result in results if result.state != "ok"] == []


def ends(text: str) -> list[int]:
    """Where the text of each chunk ends."""
    return [[token.id for token in row].index(EOS) for row in chunk(text)]


@pytest.mark.parametrize(
    ("count", "expected"), {73: [74], 74: [75], 75: [76], 76: [76, 2], 80: [76, 6], 150: [76, 76], 151: [76, 76, 2]}.items()
)
def test_chunks_of_a_plain_prompt_are_filled_to_the_border(count, expected):
    assert ends("cat " * count) == expected


def test_a_short_weighted_part_moves_whole_to_the_next_chunk_and_a_long_one_is_cut():
    assert ends("cat " * 70 + "(cat cat cat cat cat cat cat:1.2)") == [71, 8]
    assert ends("cat " * 70 + "(cat cat cat cat cat cat cat cat:1.2)") == [76, 4]


def test_padding_is_the_encoders():
    assert [token.id for token in chunk("a cat", pad=0)[0]] == [BOS, 320, 2368, EOS] + [0] * 73


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_text_gives_full_chunks(text):
    for row in chunk(text):
        assert len(row) == LENGTH
        assert row[0].id == BOS
        assert EOS in [token.id for token in row]


def test_half_a_surrogate_pair_a_null_and_special_names_are_read():
    assert chunk("\ud83d a \x00 b <|endoftext|>")
    assert token_ids("\ud83d\ude42") == token_ids("🙂")


@pytest.mark.parametrize("piece", ["a", "日", "\u0301", "!", "🙂", "ab ", " "])
def test_time_grows_linearly_with_the_text(piece):
    def seconds(length: int) -> float:
        started = time.process_time()
        token_ids(piece * (length // len(piece)))
        return time.process_time() - started

    token_ids("warm up")
    small, large = min(seconds(10_000) for _ in range(3)), seconds(100_000)
    assert large < 40 * max(small, 0.005)

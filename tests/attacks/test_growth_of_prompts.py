"""Prompts, styles and rules that are short and would become endless."""

from __future__ import annotations

from random import Random

import pytest

from engine.diffusion.text.a1111.emphasis import BREAK, parse_emphasis
from engine.diffusion.text.a1111.styles import Style, with_styles
from engine.diffusion.text.a1111.variants import fill_in
from engine.diffusion.training.rules import Rules
from engine.errors import InvalidInput, QuotaExceeded


def test_white_space_before_no_break_takes_no_time() -> None:
    assert parse_emphasis(" " * 500_000 + "x")[0].text.strip() == "x"
    assert parse_emphasis("a  BREAK BREAK\n b").count(BREAK) == 2


def test_drawing_many_of_many_variants_is_refused() -> None:
    with pytest.raises(QuotaExceeded):
        fill_in("{9999$$" + "|" * 500_000 + "}", Random(1), lambda name: ["x"])


def test_what_joins_variants_counts() -> None:
    with pytest.raises(QuotaExceeded):
        fill_in("{999$$" + "j" * 100_000 + "$$" + "|" * 1_000 + "}", Random(1), lambda name: ["x"])


def test_wildcards_that_become_nothing_end() -> None:
    with pytest.raises(QuotaExceeded):
        fill_in("__a0__", Random(1), lambda name: ["".join(f"__a{int(name[1:]) + 1}__" for _ in range(10)) if name != "a19" else "{|}"])


def test_a_style_that_doubles_the_prompt_is_not_taken_forty_times() -> None:
    with pytest.raises(QuotaExceeded):
        with_styles("a", "", ["twice"] * 40, {"twice": Style("{prompt} {prompt}", "")})


@pytest.mark.parametrize(
    "line", ["((a{9}){9}){9} = 1", "(" * 3_000 + ")" * 3_000 + " = 1", "a = 1" + "0" * 400, "a = 1000000000", r"\L<x> = 1", "(?R = 1"]
)
def test_rules_that_would_fill_the_memory_are_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        Rules(line, "ranks", whole=True)

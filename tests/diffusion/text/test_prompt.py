"""Prompt syntax: what is weighed how much."""

import gc
import time

import pytest

from engine.diffusion.text.prompt import LARGEST_WEIGHT, parse_prompt

CASES = {
    "a (b:1.3) c": [("a ", 1.0), ("b", 1.3), (" c", 1.0)],
    "((a))": [("a", 1.21)],
    "((a:1.5) b)": [("a", 1.5), (" b", 1.1)],
    "((a) b:1.5)": [("a", 1.65), (" b", 1.5)],
    "(a:b:1.4)": [("a:b", 1.4)],
    "(a:1.2:1.4)": [("a:1.2", 1.4)],
    "(a:0.5, (b))": [("a:0.5, ", 1.1), ("b", 1.21)],
    "(a:)": [("a:", 1.1)],
    "(:1.2)": [(":1.2", 1.1)],
    "(a:0)": [("a", 0.0)],
    "(a:-1)": [("a", -1.0)],
    r"\(x\) y": [("(x) y", 1.0)],
    "(a": [("(a", 1.0)],
    "a) (b:1.2)": [("a) (b:1.2)", 1.0)],
    "a) (b) (c:1.2)": [("a) (b) (c:1.2)", 1.0)],
    "()": [],
    "": [],
    "[a] {b|c} <lora:x:1> BREAK AND": [("[a] {b|c} <lora:x:1> BREAK AND", 1.0)],
}


@pytest.mark.parametrize("text", CASES)
def test_segments_and_weights_are_comfyuis(text):
    got = parse_prompt(text)
    assert [segment.text for segment in got] == [text for text, _ in CASES[text]]
    assert [segment.weight for segment in got] == pytest.approx([weight for _, weight in CASES[text]])


@pytest.mark.parametrize("number", ["nan", "inf", "-infinity", "1e999"])
def test_a_weight_that_is_no_finite_number_is_text(number):
    assert parse_prompt(f"(a:{number})") == [(f"a:{number}", 1.1)]


def test_weights_stay_finite_however_deep_brackets_nest():
    (segment,) = parse_prompt("(" * 20_000 + "a" + ")" * 20_000)
    assert segment == ("a", LARGEST_WEIGHT)


@pytest.mark.parametrize("pattern", ["(", ")", "()", "(a:1)", "\\(", ":", "(:", "((a)", "a) (b"])
def test_time_grows_linearly_with_the_prompt(pattern):
    def seconds(length: int) -> float:
        text = pattern * (length // len(pattern))
        gc.disable()  # a collection takes as long as everything else that the tests have loaded is large
        started = time.process_time()
        parse_prompt(text)
        parse_prompt(text + ")" * (length // 2))
        taken = time.process_time() - started
        gc.enable()
        return taken

    small, large = (min(seconds(length) for _ in range(3)) for length in (5_000, 50_000))
    assert large < 30 * max(small, 0.005)

"""AUTOMATIC1111's syntax: what its rules say about a text."""

import gc
import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffusion.text.a1111.composition import split_and
from engine.diffusion.text.a1111.editing import ranges, stages
from engine.diffusion.text.a1111.emphasis import parse_emphasis
from engine.diffusion.text.a1111.networks import Network, file_of, take_networks
from engine.diffusion.text.a1111.styles import read_styles, with_styles
from engine.diffusion.text.a1111.variants import fill_in
from engine.errors import EaselError, InvalidInput, MissingFile, QuotaExceeded

EMPHASIS = {
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    "[unbalanced": [("unbalanced", 1 / 1.1)],
    r"\(literal\]": [("(literal]", 1.0)],
    r"a \\ b": [("a \\ b", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a BREAK b": [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)],
    "BREAKING a": [("BREAKING a", 1.0)],
    "(a BREAK b)": [("a", 1.1), ("BREAK", -1.0), ("b", 1.1)],
    "((a:1.5) b)": [("a", 1.65), (" b", 1.1)],
    "[[a]]": [("a", 0.826446)],
    "(a:b:1.4)": [("a:b", 1.4)],
    "(a: 1.4 )": [("a", 1.4)],
    "(a:-1)": [("a", -1.0)],
    "(a:1.2.3)": [("a:1.2.3)", 1.1)],
    "[a:1.2]": [("a:1.2", 1 / 1.1)],
    "a:1.2) b]": [("a:1.2) b]", 1.0)],
    "": [("", 1.0)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55), (", sun, ", 1.1), ("sky", 1.4641), (".", 1.1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", EMPHASIS)
def test_emphasis(text):
    got = parse_emphasis(text)
    assert [segment.text for segment in got] == [part for part, _ in EMPHASIS[text]]
    assert [segment.weight for segment in got] == pytest.approx([weight for _, weight in EMPHASIS[text]], abs=1e-6)


EDITING = {
    "test": [(10, "test")],
    "a [b:3]": [(3, "a "), (10, "a b")],
    "a [b: 3 ]": [(3, "a "), (10, "a b")],
    "a [b::3] c": [(3, "a b c"), (10, "a  c")],
    "a [[[b]]:2]": [(2, "a "), (10, "a [[b]]")],
    "[(a:2):3]": [(3, ""), (10, "(a:2)")],
    "a [b : c : 1] d": [(1, "a b  d"), (10, "a  c  d")],
    "a[b:[c:d:2]:1]e": [(1, "abe"), (2, "ace"), (10, "ade")],
    "([a:b:0.5]:1.2)": [(5, "(a:1.2)"), (10, "(b:1.2)")],
    "a [unbalanced": [(10, "a [unbalanced")],
    "a [b:.5] c": [(5, "a  c"), (10, "a b c")],
    "((a][:b:c [d:3]": [(3, "((a][:b:c "), (10, "((a][:b:c d")],
    "[a:b:20]": [(10, "a")],
    "[a:b:0]": [(10, "b")],
    "[a:b:-3]": [(10, "b")],
    "[a:b:c]": [(10, "[a:b:c]")],
    "[a:b:c:3]": [(10, "[a:b:c:3]")],
    "[a]": [(10, "[a]")],
    r"[a\:b:c:3]": [(3, r"a\:b"), (10, "c")],
    r"\[a:b:3]": [(10, r"\[a:b:3]")],
    "[fe|]male": [(step, "female" if step % 2 else "male") for step in range(1, 11)],
    "[fe|||]male": [(step, "female" if step % 4 == 1 else "male") for step in range(1, 11)],
    "[a|(b:1.1)]": [(step, "a" if step % 2 else "(b:1.1)") for step in range(1, 11)],
    "[a|[b:c:5]]": [(step, "a" if step % 2 else "b" if step <= 5 else "c") for step in range(1, 11)],
}


@pytest.mark.parametrize("text", EDITING)
def test_editing(text):
    assert [tuple(stage) for stage in stages(text, 10)] == EDITING[text]


def test_in_a_second_pass_whole_numbers_go_on_and_fractions_are_between_one_and_two():
    def second(text: str) -> list:
        return [tuple(stage) for stage in stages(text, 8, first_pass_steps=20)]

    assert second("[a:b:0.5]") == second("[a:b:12]") == [(8, "b")]
    assert second("[a:b:1.5]") == second("[a:b:24]") == [(4, "a"), (8, "b")]
    assert second("[a:b:2.0]") == [(8, "a")]


def test_a_prompt_that_becomes_more_text_than_anybody_wants_is_refused_in_time():
    started = time.process_time()
    for text in ("[a|b]" + "x" * 100_000, "".join(f"[{'y' * 20_000}|{number}|{'|' * number}]" for number in range(2, 12))):
        with pytest.raises(QuotaExceeded):
            stages(text, 10_000)
    assert time.process_time() - started < 20


def test_a_hundred_thousand_edits_take_seconds_and_at_ten_thousand_steps_are_refused():
    text = "".join(f"[:{'x' if number % 2 else ''}:{number % 50 / 50}]" for number in range(100_000))
    started = time.process_time()
    assert [len(stage.text) for stage in stages(text, 20)][-1] == 50_000
    with pytest.raises(QuotaExceeded, match="too many places"):
        stages(text + "[a|b]", 10_000)
    assert time.process_time() - started < 20


def test_a_stretch_of_steps_counts_evaluations_from_zero():
    """A switch after step 3 happens after four evaluations."""
    assert ranges(stages("[a:b:3]", 10)) == {"a": [(0, 3)], "b": [(4, 10)]}
    assert ranges(stages("[a|b]", 4)) == {"a": [(0, 1), (3, 3)], "b": [(2, 2), (4, 4)]}
    assert ranges(stages("plain", 10)) == {"plain": [(0, 10)]}


COMPOSITION = {
    "a": [("a", 1.0)],
    "a AND b": [("a ", 1.0), (" b", 1.0)],
    "a :1.2 AND b: -0.5": [("a", 1.2), (" b", -0.5)],
    "a AND b :.5 ": [("a ", 1.0), (" b", 0.5)],
    "a BRAND b and c": [("a BRAND b and c", 1.0)],
    "photo, 16:9": [("photo, 16", 9.0)],
    "(a:1.2) AND b": [("(a:1.2) ", 1.0), (" b", 1.0)],
    "a\nAND\nb:2.": [("a\n", 1.0), ("\nb", 2.0)],
}


@pytest.mark.parametrize("text", COMPOSITION)
def test_and_with_weights(text):
    assert [tuple(part) for part in split_and(text)] == COMPOSITION[text]


NETWORKS = {
    "<lora:a:0.8>": Network("a", 0.8, 0.8),
    "<lora:a>": Network("a", 1.0, 1.0),
    "<lora:a b.c:0.5:1>": Network("a b.c", 0.5, 1.0),
    "<lora:a:te=0.5:unet=-1>": Network("a", 0.5, -1.0),
    "<lora:a:unet=0>": Network("a", 1.0, 0.0),
    "<lora:a:0.3:unet=0.7>": Network("a", 0.3, 0.7),
    "<lyco:a:2>": Network("a", 2.0, 2.0),
}


@pytest.mark.parametrize("text", NETWORKS)
def test_networks_are_taken_out_of_the_text(text):
    called = take_networks(f"x {text} y")
    assert called == ("x  y", [NETWORKS[text]], [])


def test_what_is_no_network_stays_or_is_reported():
    assert take_networks("a <lora> <3 <:x> <a b:c> b") == ("a <lora> <3 <:x> <a b:c> b", [], [])
    assert take_networks("a <thing:x:1>") == ("a ", [], ["<thing:x:1>"])
    assert take_networks("<lora:a:1><lora:b:2>").networks == [Network("a", 1, 1), Network("b", 2, 2)]


@pytest.mark.parametrize(
    "text", ["<lora:a:much>", "<lora:a:nan>", "<lora:a:1e9>", "<lora:a:1:1:8>", "<lora:a:dyn=8>", "<lora: >", "<hypernet:a:1>"]
)
def test_networks_that_cannot_be_are_errors(text):
    with pytest.raises(InvalidInput) as error:
        take_networks(text)
    assert error.value.hint


def test_a_lora_is_found_by_its_exact_name_also_in_sub_folders():
    files = ["style/night.safetensors", "night.pt", "deep/er/day.v2.safetensors"]
    assert file_of("night", files) == "night.pt"
    assert file_of("style/night", files) == "style/night.safetensors"
    assert file_of("day.v2", files) == "deep/er/day.v2.safetensors"
    with pytest.raises(MissingFile, match="'nigth'") as error:
        file_of("nigth", files)
    assert "night" in error.value.hint and error.value.details["near"] == ["night"]
    for name in ("Night", "ight", "day"):
        with pytest.raises(MissingFile):
            file_of(name, files)


LINES = {
    "colour": ["red", "green", "blue"],
    "mixed": ["{warm|cold} __colour__"],
    "loop": ["a __loop__"],
    "double": ["__double2__" * 20],
    "double2": ["x" * 100_000],
}


def filled(text: str, seed: int = 0) -> str:
    return fill_in(text, Random(seed), LINES.__getitem__)


@pytest.mark.parametrize(
    ("text", "possible"),
    {
        "{a|b|c}": {"a", "b", "c"},
        "{a|b{c|d}}": {"a", "bc", "bd"},
        "x{|y}": {"x", "xy"},
        "{a}": {"a"},
        "{0::a|b}": {"b"},
        "{2$$a|b}": {"a, b", "b, a"},
        "{2$$-$$a|b}": {"a-b", "b-a"},
        "{1-2$$ and $$a|b}": {"a", "b", "a and b", "b and a"},
        "{9$$+$$a|b}": {"a+b", "b+a"},
        "__colour__ x": {"red x", "green x", "blue x"},
        "__mixed__": {f"{first} {second}" for first in ("warm", "cold") for second in LINES["colour"]},
        r"\{a\|b\}": {"{a|b}"},
        "{a|b": {"{a|b"},
        "a|b}": {"a|b}"},
        "a __ b": {"a __ b"},
        "[a|b]": {"[a|b]"},
    }.items(),
)
def test_variants_take_every_value_they_can(text, possible):
    assert {filled(text, seed) for seed in range(60)} == possible


def test_variants_follow_the_seed_and_their_chances():
    text = "{a|b|c|d} __colour__ {2$$a|b|c}"
    assert filled(text, 5) == filled(text, 5)
    assert len({filled(text, seed) for seed in range(50)}) > 20
    often = sum(filled("{9::a|b}", seed) == "a" for seed in range(1000))
    assert 860 < often < 940


def test_wildcards_without_end_and_without_measure_are_errors():
    with pytest.raises(InvalidInput):
        filled("__loop__")
    with pytest.raises(QuotaExceeded):
        filled("__double__")


STYLES = 'name,prompt,negative_prompt\nold,"painting, {prompt}, by day",blurry\nnight,"dark, stars",\n,empty,\n'


def test_styles_go_round_or_after_the_prompt():
    known = read_styles("\ufeff" + STYLES)
    assert with_styles("a cat", "ugly", ["old", "night"], known) == ("painting, a cat, by day, dark, stars", "ugly, blurry")
    assert with_styles("a cat", "", [], known) == ("a cat", "")
    assert read_styles("name,text\nx,a b\n")["x"].prompt == "a b"


def test_unknown_styles_and_tables_that_are_none_say_so():
    with pytest.raises(InvalidInput) as error:
        with_styles("a", "", ["nihgt"], read_styles(STYLES))
    assert "night" in error.value.hint
    with pytest.raises(InvalidInput):
        read_styles("a,b\n1,2\n")
    with pytest.raises(InvalidInput):
        read_styles('name,prompt\n"' + "x" * 200_000 + '"\n')


MARKS = st.text(alphabet=st.sampled_from(r"()[]{}|:\<>,._$1a ") | st.characters(), max_size=80)


@settings(max_examples=400)
@given(MARKS, st.integers(1, 50))
def test_any_text_parses(text, steps):
    assert parse_emphasis(text)
    found = stages(text, steps)
    assert [stage.end for stage in found] == sorted({stage.end for stage in found}) and found[-1].end == steps
    covered = sorted(step for own in ranges(found).values() for first, last in own for step in range(first, last + 1))
    assert covered == list(range(steps + 1))
    assert split_and(text)
    try:
        take_networks(text)
    except EaselError as error:
        assert error.hint
    assert isinstance(fill_in(text, Random(1), lambda name: ["x"]), str)


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(exclude_characters=r"()[]\:|"), max_size=60))
def test_plain_text_is_one_text_of_weight_one(text):
    assert [stage.text for stage in stages(text, 7)] == [text]
    if "BREAK" not in text:
        assert parse_emphasis(text) == [(text, 1.0)]


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[", "]", "[a:", "[a|", "([", "(a", ":1)", "[a:b:1]", "{", "{a|", "}", "__a__", "\\", "AND ", ":1", "<lora:a", "BREAK "],
)
def test_time_grows_linearly_with_the_prompt(pattern):
    def seconds(length: int) -> float:
        text = pattern * (length // len(pattern))
        gc.disable()  # a collection takes as long as everything else that the tests have loaded is large
        started = time.process_time()
        for each in (text, text + "]" * (length // 2), text + ")" * (length // 2), text + "}" * (length // 2)):
            parse_emphasis(each)
            stages(each, 4)
            split_and(each)
            take_networks(each)
            fill_in(each, Random(0), lambda name: ["x"])
        taken = time.process_time() - started
        gc.enable()
        return taken

    small, large = (min(seconds(length) for _ in range(2)) for length in (2_000, 20_000))
    assert large < 40 * max(small, 0.005)

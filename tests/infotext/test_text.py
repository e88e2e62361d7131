"""A1111's text: read, written, and made into a workflow that runs here."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.errors import QuotaExceeded
from engine.infotext.names import SAMPLERS, SCHEDULES, ours, theirs
from engine.infotext.text import LONGEST, Infotext, parse_infotext, write_infotext

EXAMPLE = """a (red:1.2) circle,
on white
Negative prompt: ugly, <bad>
second line
Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.5, Seed: 12345678901234567890, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned, Lora hashes: "a: 11, b: 22", Hires prompt: "one, \\"two\\"\\nthree", Version: v1.10.1"""


def test_an_infotext_has_three_parts():
    info = parse_infotext(EXAMPLE)
    assert info.prompt == "a (red:1.2) circle,\non white"
    assert info.negative == "ugly, <bad>\nsecond line"
    assert dict(info.settings) == {
        "Steps": "20", "Sampler": "Euler a", "Schedule type": "Karras", "CFG scale": "7.5", "Seed": "12345678901234567890",
        "Size": "512x768", "Model hash": "6ce0161689", "Model": "v1-5-pruned", "Lora hashes": "a: 11, b: 22",
        "Hires prompt": 'one, "two"\nthree', "Version": "v1.10.1",
    }  # fmt: skip


def test_a_written_infotext_is_the_text_that_was_read():
    assert write_infotext(parse_infotext(EXAMPLE)) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("just a prompt", "just a prompt", ""),
        ("a prompt, with: two, colons: here", "a prompt, with: two, colons: here", ""),
        ("", "", ""),
        ("Negative prompt: only this", "", "only this"),
        ("Steps: 20, Sampler: Euler, Seed: 1", "", ""),
    ],
)
def test_a_last_line_with_few_settings_belongs_to_the_prompt(text, prompt, negative):
    info = parse_infotext(text)
    assert (info.prompt, info.negative) == (prompt, negative)


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=60)
KEY = st.from_regex(r"[A-Za-z][A-Za-z0-9 /-]{1,20}", fullmatch=True).map(str.strip).filter(lambda key: len(key) > 1)


def tidy(text: str) -> str:
    """As A1111 keeps a prompt: no white space at the ends of lines, no empty lines at its ends."""
    return "\n".join(line.strip() for line in text.split("\n")).strip()


@settings(max_examples=300)
@given(PLAIN, PLAIN, st.dictionaries(KEY, PLAIN, min_size=3, max_size=8))
def test_what_is_written_is_read_again(prompt, negative, values):
    prompt, negative = tidy(prompt), tidy(negative)
    assume("Negative prompt:" not in prompt + negative)
    info = parse_infotext(write_infotext(Infotext(prompt, negative, values)))
    assert (info.prompt, info.negative, dict(info.settings)) == (prompt, negative, values)


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_is_an_infotext(text):
    info = parse_infotext(text)
    assert isinstance(info.prompt, str)


def test_a_text_without_measure_is_refused():
    with pytest.raises(QuotaExceeded):
        parse_infotext("a" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected"),
    [
        ("DPM++ 2M", "Karras", ("dpmpp_2m", "karras")),
        ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE Heun Exponential", "", ("dpmpp_2m_sde_heun", "exponential")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("Euler a", "Automatic", ("euler_ancestral", "normal")),
        ("euler A", "sgm uniform", ("euler_ancestral", "sgm_uniform")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("dpmpp_2m", "karras", ("dpmpp_2m", "karras")),
        ("Euler", "Uniform", ("euler", "normal")),
    ],
)
def test_names_become_ours(sampler, schedule, expected):
    assert ours(sampler, schedule) == (*expected, ())


@pytest.mark.parametrize(("sampler", "schedule"), [("Restart", ""), ("Euler b c", ""), ("Euler", "Align Your Steps"), ("???", "")])
def test_unknown_names_become_the_nearest_and_say_so(sampler, schedule):
    chosen = ours(sampler, schedule)
    assert len(chosen.notes) == 1 and (sampler in chosen.notes[0] or schedule in chosen.notes[0])


def test_names_there_and_back():
    for theirs_name, name in SAMPLERS.items():
        assert theirs(name, "karras") == (theirs_name, "Karras")
    assert {ours("Euler", theirs("euler", scheduler)[1]).scheduler for scheduler in SCHEDULES.values()} == set(SCHEDULES.values())
    assert theirs("seeds_2", "?") == ("seeds_2", "?")

import pytest

from engine.errors import InvalidInput
from nodes.text import regex_extract, regex_match, regex_replace


def test_a_pattern_that_needs_exponential_time_is_stopped():
    with pytest.raises(InvalidInput, match="took over"):
        regex_match("a" * 60 + "!", r"^(a|a|aa)+$")


def test_a_broken_pattern_is_named():
    with pytest.raises(InvalidInput, match=r"'\(' is not valid"):
        regex_extract("text", "(", "First Match")


def test_groups_in_the_replacement():
    assert regex_replace("cat, dog", r"(\w+), (\w+)", r"\2 \1") == "dog cat"


def test_a_group_that_does_not_exist_gives_nothing():
    assert regex_extract("cat", "(c)", "First Group", group_index=3) == ""

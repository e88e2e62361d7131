"""Lines of kohya's prompt files."""

from __future__ import annotations

import pytest

from engine.diffusion.training.sample_prompts import sample_prompts
from engine.errors import InvalidInput
from engine.values.training import SamplePlan


def test_lines_with_flags_of_their_own():
    plan = SamplePlan(
        prompts="""
        # a comment
        a dog, well-kept
        sks dog --n blurry, low--quality --w 512 --h 768 --d 7 --l 4.5 --s 12 --ss euler_a
        """,
        width=128, height=128, negative="grey", seed=3,
    )  # fmt: skip
    (first, own), (second, changed) = sample_prompts(plan)
    assert (first, own) == ("a dog, well-kept", plan)
    assert second == "sks dog"
    assert (changed.negative, changed.width, changed.height, changed.seed) == ("blurry, low--quality", 512, 768, 7)
    assert (changed.cfg, changed.steps, changed.sampler_name) == (4.5, 12, "euler_ancestral")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("a dog --x 3", "--x of the sample prompt 'a dog --x 3' is not known"), ("a --w many", "width of the sample prompt"),
        ("a --w 1", "width"), ("a --d -1", "seed"), ("a --ss ddpm9", "no sampler 'ddpm9'"), ("a --w", "width"),
    ],
)  # fmt: skip
def test_what_a_line_cannot_say_is_named(line, named):
    with pytest.raises(InvalidInput, match=named):
        list(sample_prompts(SamplePlan(prompts=line)))

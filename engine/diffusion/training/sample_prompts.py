"""Prompts of sample pictures, with what kohya's prompt files say behind them: `a dog --n blurry --w 512 --h 768 --d 1 --l 7 --s 30`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from engine.diffusion.sampling.samplers import SAMPLER_NAMES
from engine.errors import InvalidInput
from engine.values.training import SamplePlan

FLAGS = {"n": "negative", "w": "width", "h": "height", "d": "seed", "l": "cfg", "s": "steps", "ss": "sampler_name"}
"""Flag -> field of SamplePlan."""
SAMPLERS = {
    "euler_a": "euler_ancestral", "k_euler": "euler", "k_euler_a": "euler_ancestral", "dpm_2_a": "dpm_2_ancestral", "k_lms": "lms",
    "k_dpm_2": "dpm_2", "k_dpm_2_a": "dpm_2_ancestral", "dpmsolver++": "dpmpp_2m", "dpmsingle": "dpmpp_2s_ancestral",
}  # fmt: skip
"""kohya's name of a sampler -> ours, where it is another."""
_FLAG = re.compile(r"\s--([a-z]+)(?=\s|$)")


def sample_prompts(plan: SamplePlan) -> Iterator[tuple[str, SamplePlan]]:
    """The prompt of each line and the plan as the line changes it. Lines that begin with # are comments.

    Raises InvalidInput, naming the line, for a flag that is not known and a value that cannot be.
    """
    for line in filter(None, map(str.strip, plan.prompts.splitlines())):
        if line.startswith("#"):
            continue
        prompt, *flags = _FLAG.split(f" {line}")
        changes = {}
        for flag, value in zip(flags[::2], flags[1::2], strict=True):
            if flag not in FLAGS:
                raise InvalidInput(f"--{flag} of the sample prompt {line!r:.100} is not known.", hint=f"Known are {_known()}.")
            changes[FLAGS[flag]] = _value(FLAGS[flag], value.strip())
        try:
            yield prompt.strip(), SamplePlan.model_validate({**plan.model_dump(), **changes})
        except ValidationError as error:
            fault = error.errors()[0]
            raise InvalidInput(
                f"{fault['loc'][0]} of the sample prompt {line!r:.100} is {fault['input']!r:.40}: {fault['msg']}.", hint="Correct the line."
            ) from error


def _value(field: str, text: str) -> Any:
    if field != "sampler_name":
        return text
    name = SAMPLERS.get(text, text)
    if name not in SAMPLER_NAMES:
        raise InvalidInput(f"There is no sampler {text!r:.40}, as a sample prompt asks for.", hint=f"There are {', '.join(SAMPLER_NAMES)}.")
    return name


def _known() -> str:
    return ", ".join(f"--{flag} ({field})" for flag, field in FLAGS.items())

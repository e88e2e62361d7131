"""Changing the captions of a dataset for good, before any is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

from engine.diffusion.training.captions import trigger_warnings, with_trigger
from engine.diffusion.training.dataset_folder import listed
from engine.errors import InvalidInput
from engine.values.dataset import Dataset, Example


def edited(
    dataset: Dataset,
    *,
    only: str = "",
    find: str = "",
    replacement: str = "",
    prefix: str = "",
    suffix: str = "",
    trigger: str = "",
    captions: str = "",
) -> Dataset:
    """The dataset with other captions. In this order, each where it is given:

    captions: lines `name: caption`, for single pictures. find, replacement: a text, everywhere it occurs. prefix, suffix: put around
    as they are. trigger: put in front, where it is missing; it becomes the dataset's.
    only: a pattern such as `10_*/*.png`; of other pictures, only those that `captions` names are changed.

    Raises InvalidInput for an edit that would change nothing: unknown pictures, a text that occurs nowhere.
    """
    if replacement and not find:
        raise InvalidInput("There is a replacement, but nothing to find.", hint="Fill in `find`.")
    own = _own_captions(dataset, captions)
    dataset = _changed(dataset, lambda example: example.name in own, lambda example: (own[example.name],))
    matching = [example for example in dataset.examples if not only or fnmatchcase(example.name, only)]
    if not matching:
        raise InvalidInput(f"No picture is named like {only!r}.", hint=f"Names are {listed([e.name for e in dataset.examples], 5)}")
    if find and not any(find in line for example in matching for line in example.captions):
        raise InvalidInput(f"The text {find!r} occurs in none of the captions.", hint="Look at the dataset's table.")

    def edit(example: Example) -> tuple[str, ...]:
        lines = (line.replace(find, replacement) if find else line for line in example.captions)
        return tuple(with_trigger(f"{prefix}{line}{suffix}".strip(), trigger) for line in lines)

    names = {example.name for example in matching}
    dataset = _changed(dataset, lambda example: example.name in names, edit)
    if empty := [example.name for example in dataset.examples if not any(example.captions)]:
        raise InvalidInput(f"After the edit these pictures have no caption: {listed(empty)}", hint="Give a prefix, a trigger or captions.")
    warnings = (*dataset.warnings, *(warning for warning in trigger_warnings(trigger) if warning not in dataset.warnings))
    return replace(dataset, trigger=trigger or dataset.trigger, warnings=warnings)


def _own_captions(dataset: Dataset, text: str) -> dict[str, str]:
    known = {example.name for example in dataset.examples}
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, caption = line.partition(":")
        if not colon or not caption.strip() or name.strip() not in known:
            raise InvalidInput(f"{line!r:.100} names no picture with its caption.", hint="Write `name.png: caption`, one a line.")
        found[name.strip()] = caption.strip()
    return found


def _changed(dataset: Dataset, chosen: Callable[[Example], bool], captions: Callable[[Example], tuple[str, ...]]) -> Dataset:
    examples = (replace(example, captions=captions(example)) if chosen(example) else example for example in dataset.examples)
    return replace(dataset, examples=tuple(examples))

"""Drawing of captions: the rules of kohya's sd-scripts, from a random stream that the caller gives; and what a trigger word is."""

from __future__ import annotations

import random
import re
from typing import Any

from engine.diffusion.text.tokenizer import token_pieces
from engine.errors import InvalidInput
from engine.values.dataset import CaptionPolicy

_CHOICE = re.compile(r"\{([^{}]*)\}")
_OPEN, _CLOSE = "\ue000", "\ue001"  # stand for {{ and }} while choices are made
_BRACKET = re.compile(r"(?<!\\)[()]")


def draw(captions: tuple[str, ...], policy: CaptionPolicy, rng: random.Random, *, step: int = 0) -> str:
    """One caption, as a prompt that `engine.diffusion.text.encode` reads.

    Prefix and suffix; one line and one of each `{a|b}` (wildcards); the tags that the warm-up lets through at this step, shuffled,
    some left out; joined by ", "; the secondary separator replaced. Whether the whole caption is dropped is `is_dropped`.
    """
    lines = [" ".join(part for part in (policy.prefix, line, policy.suffix) if part) for line in captions or ("",)]
    text = _chosen(rng.choice(lines), rng) if policy.wildcards else lines[0]
    head, movable, tail = _parts(text, policy)
    if policy.shuffle or policy.tag_dropout > 0 or policy.warmup_steps > 0:
        movable = movable[: _warmed_up(len(movable), policy, step)]
        if policy.shuffle:
            rng.shuffle(movable)
        movable = [tag for tag in movable if rng.random() >= policy.tag_dropout]
        text = ", ".join([*head, *movable, *tail])
    elif policy.keep_tokens_separator:
        text = ", ".join([*head, *movable, *tail])
    if policy.secondary_separator:
        text = text.replace(policy.secondary_separator, policy.separator)
    return text if policy.weighted else plain(text)


def is_dropped(policy: CaptionPolicy, rng: random.Random, *, epoch: int) -> bool:
    """Whether the whole caption is left out in this draw; epochs count from 0."""
    every = policy.dropout_every_n_epochs
    return rng.random() < policy.dropout or (every > 0 and (epoch + 1) % every == 0)


def plain(text: str) -> str:
    """The text as a prompt in which no bracket weighs a word."""
    return _BRACKET.sub(lambda found: "\\" + found[0], text)


def _parts(text: str, policy: CaptionPolicy) -> tuple[list[str], list[str], list[str]]:
    """The tags that stay in front, those that may move, and those that stay at the end."""
    mark = policy.keep_tokens_separator
    if mark and mark in text:
        first, _, rest = text.partition(mark)
        middle, _, last = rest.partition(mark)
        return _tags(first, policy.separator), _tags(middle, policy.separator), _tags(last, policy.separator)
    tags = _tags(text, policy.separator)
    return tags[: policy.keep_tokens], tags[policy.keep_tokens :], []


def _tags(text: str, separator: str) -> list[str]:
    return [tag for part in text.split(separator) if (tag := part.strip())]


def _warmed_up(count: int, policy: CaptionPolicy, step: int) -> int:
    if step >= policy.warmup_steps:
        return count
    return min(count, step * (count - policy.warmup_min) // policy.warmup_steps + policy.warmup_min)


def _chosen(text: str, rng: random.Random) -> str:
    """One of each `{a|b|c}`; `{{` and `}}` are plain braces."""
    text = text.replace("{{", _OPEN).replace("}}", _CLOSE)
    text = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
    return text.replace(_OPEN, "{").replace(_CLOSE, "}")


def with_trigger(caption: str, trigger: str) -> str:
    """The caption with the trigger in front, unless it holds it already."""
    if not trigger or holds(caption, trigger):
        return caption
    return f"{trigger}, {caption}" if caption else trigger


def holds(caption: str, words: str) -> bool:
    """Whether the words occur in the caption as whole words, in any case and spacing."""
    return bool(words.split()) and _words(words).search(caption) is not None


def replaced(caption: str, words: str, by: str) -> str:
    """The caption with these whole words replaced."""
    return _words(words).sub(lambda found: by, caption) if words.split() else caption


def _words(words: str) -> re.Pattern[str]:
    inner = r"\s+".join(re.escape(word) for word in words.split())
    return re.compile(rf"(?<!\w){inner}(?!\w)", re.IGNORECASE)


def trigger_warnings(trigger: str) -> list[str]:
    """A warning for each word of the trigger that the tokenizer cuts into pieces, with the pieces."""
    found = []
    for word in trigger.split():
        pieces = token_pieces(word)
        if len(pieces) > 1:
            shown = " + ".join(pieces)
            found.append(f"The trigger word {word!r} is read as {len(pieces)} pieces ({shown}), which are parts of other words too")
    return found


def policy_of(**fields: Any) -> CaptionPolicy:
    """A CaptionPolicy; raises InvalidInput for values that contradict each other."""
    policy = CaptionPolicy(**fields)
    moves = policy.shuffle or policy.tag_dropout > 0 or policy.warmup_steps > 0
    if policy.keep_tokens and not moves:
        raise InvalidInput(
            f"keep_tokens={policy.keep_tokens} would have no effect: nothing moves or drops tags.",
            hint="Turn on shuffle, tag_dropout or warmup_steps, or set keep_tokens to 0.",
        )
    if not policy.separator:
        raise InvalidInput("The separator between tags is empty.", hint="Use a comma.")
    return policy

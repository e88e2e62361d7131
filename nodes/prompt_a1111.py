"""Prompts in AUTOMATIC1111's syntax."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import PurePosixPath
from random import Random
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from engine.diffusion.adapters.lora import apply_lora, load_lora
from engine.diffusion.text.a1111.encode import Emphasis
from engine.diffusion.text.a1111.networks import Called, file_of, take_networks
from engine.diffusion.text.a1111.prompt import Timing, encode_prompts
from engine.diffusion.text.a1111.styles import read_styles, with_styles
from engine.diffusion.text.a1111.variants import fill_in
from engine.errors import MissingFile, QuotaExceeded
from engine.graph import Choice, Context, Seed, Widget, node
from engine.graph.literals import nearest
from engine.values.conditioning import Conditioning
from engine.values.model import Clip, Model
from nodes.embeddings import stamps, words_of
from nodes.lora import warn_of_unused
from nodes.sampling import Steps

LARGEST_TEXT_FILE = 16_000_000
Text = Annotated[str, Widget(multiline=True)]


class Prompted(NamedTuple):
    model: Model
    clip: Clip
    positive: Conditioning
    negative: Conditioning
    positive_text: str
    negative_text: str


class Styled(NamedTuple):
    positive: str
    negative: str


class Filled(NamedTuple):
    """Both prompts with everything chosen; called: the positive one without its networks, and these."""

    positive: str
    negative: str
    called: Called


def _filled(ctx: Context, positive: str, negative: str, seed: int, variants: bool) -> Filled:
    if variants:
        random, lines_of = Random(seed), cache(partial(_wildcard, ctx))
        positive, negative = (fill_in(text, random, lines_of) for text in (positive, negative))
    return Filled(positive, negative, take_networks(positive))


def _read(ctx: Context, folder: str, name: str) -> str:
    path = ctx.folders.resolve(folder, name)
    if path.stat().st_size > LARGEST_TEXT_FILE:
        raise QuotaExceeded(f"{name} in {folder} is larger than {LARGEST_TEXT_FILE:,} bytes.", hint="Split it.")
    return path.read_text("utf-8", errors="replace")


def _wildcard(ctx: Context, name: str) -> Sequence[str]:
    files = {file.removesuffix(".txt"): file for file in ctx.folders.list("wildcards")}
    matching = [file for stem, file in files.items() if fnmatchcase(stem, name)]
    lines = [line.strip() for file in matching for line in _read(ctx, "wildcards", file).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        what = "has no lines" if matching else "does not exist"
        hint = nearest(name, list(files)) or f"Put a text file with a line for each choice into {ctx.folders.directories('wildcards')[0]}."
        raise MissingFile(f"The wildcard {name!r} {what}.", hint=hint)
    return lines


def _files(ctx: Context, positive: str, negative: str, seed: int, variants: bool) -> list[Any]:
    """What decides the result besides the inputs: the texts chosen from wildcards, the LoRAs and embeddings they call, as they are now."""
    filled = _filled(ctx, positive, negative, seed, variants)
    loras = [file_of(network.name, ctx.folders.list("loras")) for network in filled.called.networks]
    states = [ctx.folders.resolve("loras", file).stat() for file in loras]
    text = f"{filled.called.text}\n{filled.negative}".lower()
    embeddings = {file for file in ctx.folders.list("embeddings") if PurePosixPath(file).stem.lower() in text}
    lora_stamps = [[file, state.st_size, state.st_mtime_ns] for file, state in zip(loras, states, strict=True)]
    return [filled.called.text, filled.negative, lora_stamps, stamps(ctx, embeddings)]


@node("PromptA1111", category="conditioning", display_name="Prompt (A1111 Syntax)", lane="device", fingerprint=_files)
def prompt_a1111(
    ctx: Context,
    model: Model,
    clip: Clip,
    positive: Text,
    negative: Text = "",
    seed: Seed = 0,
    steps: Steps = 20,
    second_order: bool = False,
    first_pass_steps: Annotated[int, Field(ge=0, le=10_000)] = 0,
    clip_skip: Annotated[int, Field(ge=1, le=12)] = 1,
    emphasis: Emphasis = "Original",
    variants: bool = True,
) -> Prompted:
    r"""Encode prompts as AUTOMATIC1111's web UI reads them, and put the LoRAs they call on the model.

    `(x)`, `[x]`, `(x:1.2)`, BREAK, `[from:to:when]`, `[a|b]`, `AND`, `<lora:name:weight>`, `{a|b}`, `__wildcard__`; embeddings by their
    bare names. docs/prompts.md says what each does.

    positive, negative: what the picture should and should not be.
    seed: chooses among variants and wildcards.
    steps: of the sampler, for prompts that change on the way.
    second_order: for samplers that evaluate the model twice a step (heun, dpm_2, dpmpp_2s_ancestral, dpmpp_sde), whose evaluations the
        web UI counts as steps.
    first_pass_steps: 0, or for the second pass of a hires fix the steps of the first.
    clip_skip: which layer of the text encoder is read, counted from the last.
    emphasis: what brackets do: weigh and keep the mean, weigh only, nothing, or stay as text.
    variants: whether `{a|b}` and `__name__` are chosen from; the web UI itself leaves them as they are.

    Returns:
        positive_text: the prompt with everything chosen, for what wants to tell it.
        negative_text: the same of the negative one.
    """
    filled = _filled(ctx, positive, negative, seed, variants)
    for call in filled.called.unknown:
        ctx.warn(f"Nothing is known that {call[:100]} could call; it is left out.", "Only <lora:name:weight> is known.")
    for network in filled.called.networks:
        lora = load_lora(ctx.folders.resolve("loras", file_of(network.name, ctx.folders.list("loras"))))
        adapted = apply_lora(model, clip, lora, network.unet, network.text)
        model, clip = adapted.model, adapted.clip or clip
        warn_of_unused(ctx, adapted.unused, len(lora.tensors))
    if clip_skip > 1:
        clip = clip.with_skip(-clip_skip)
    timing = Timing(steps, second_order, first_pass_steps)
    encoded = encode_prompts(ctx.memory, clip, filled.called.text, filled.negative, timing, emphasis, words_of(ctx))
    return Prompted(model, clip, encoded.positive, encoded.negative, filled.positive, filled.negative)


def _chosen(ctx: Context, text: str, seed: int) -> str:
    return fill_in(text, Random(seed), cache(partial(_wildcard, ctx)))


@node("PromptVariants", category="text", display_name="Prompt Variants", lane="io", fingerprint=_chosen)
def prompt_variants(ctx: Context, text: Text, seed: Seed = 0) -> str:
    r"""Choose among the variants of a prompt, for text nodes that know none: `{a|b}`, `{2$$a|b|c}`, `{3::a|b}`, `__wildcard__`.

    seed: chooses; the same seed gives the same text.
    """
    return _chosen(ctx, text, seed)


@node("StyleA1111", category="text", display_name="Styles (A1111)", lane="io")
def style_a1111(ctx: Context, positive: Text, negative: Text = "", styles: Text = "", *, file: Annotated[str, Choice("styles")]) -> Styled:
    """Put styles on prompts, from a table as AUTOMATIC1111's web UI keeps it.

    styles: their names, one a line, in the order in which they are put on.
    file: a styles.csv in the folder styles of the data folder: name, prompt, negative_prompt; `{prompt}` is where the prompt goes.
    """
    names = [line.strip() for line in styles.splitlines() if line.strip()]
    return Styled(*with_styles(positive, negative, names, read_styles(_read(ctx, "styles", file))))

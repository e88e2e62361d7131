"""The infotext of a picture, read off the graph that drew it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from engine.infotext.names import theirs
from engine.infotext.text import Infotext

_SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced"})
_CHECKPOINTS = frozenset({"LoadCheckpoint", "CheckpointLoaderSimple"})
_TEXTS = frozenset({"CLIPEncode", "CLIPTextEncode"})
_PROMPT = "PromptA1111"
_SECOND_PASS = frozenset({"HighResFix"})
_LORAS = frozenset({"LoraLoader", "LoraLoaderModelOnly", "LoraLoaderBlocks"})

MOST_STEPS = 10_000
"""Of a sampler; so little `denoise` that A1111 would count more of them is told as this many."""


class Drawn(NamedTuple):
    """An infotext without hashes, and the name of the checkpoint in its folder."""

    info: Infotext
    checkpoint: str | None


def infotext_of(prompt: Mapping[str, Any], node_id: str, size: tuple[int, int], positive: str = "", negative: str = "") -> Drawn | None:
    """What can be told of a picture of (width, height) that a node of this API prompt saves; None if no sampler drew it.

    positive, negative: the prompts, for graphs that make them as they run; else they are what the text nodes say.
    """
    graph = _Graph(prompt)
    sampler = graph.first(node_id, _SAMPLERS)
    if sampler is None:
        return None
    own = graph.inputs(sampler)
    second = _second_pass(graph.inputs(graph.first(node_id, _SECOND_PASS)))
    scale = float(second.get("Hires upscale", 1.0))
    name, schedule = theirs(str(own.get("sampler_name", "")), str(own.get("scheduler", "")))
    width, height = (round(side / scale) for side in size)
    checkpoint = graph.literal(graph.first(sampler, _CHECKPOINTS), "ckpt_name")
    loras = [inputs for inputs in map(graph.inputs, graph.upstream(sampler, "model", _LORAS)) if isinstance(inputs.get("lora_name"), str)]
    settings = {
        "Steps": own.get("steps"),
        "Sampler": name,
        "Schedule type": schedule,
        "CFG scale": own.get("cfg"),
        "Seed": own.get("seed", own.get("noise_seed")),
        "Size": f"{width}x{height}",
        "Model": PurePosixPath(checkpoint).stem if checkpoint else None,
        "Denoising strength": own.get("denoise") if own.get("denoise", 1.0) != 1.0 else None,
        "Clip skip": graph.clip_skip(sampler),
        "RNG": "CPU",
        "Emphasis": graph.emphasis(sampler),
        **second,
    }
    calls = "".join(f" <lora:{PurePosixPath(inputs['lora_name']).stem}:{_strengths(inputs)}>" for inputs in reversed(loras))
    plain = {key: _number(value) for key, value in settings.items() if isinstance(value, str | int | float)}
    info = Infotext((positive or graph.text(sampler, "positive")) + calls, negative or graph.text(sampler, "negative"), plain)
    return Drawn(info, checkpoint)


def _second_pass(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What A1111 says of a hires fix. It counts all steps, of which the share `denoise` and one more are run; ours are those."""
    steps, denoise, scale = inputs.get("steps"), inputs.get("denoise"), inputs.get("scale_by")
    if not (isinstance(steps, int) and isinstance(denoise, int | float) and isinstance(scale, int | float)):
        return {}
    if not (1 <= steps <= MOST_STEPS and 0 < denoise <= 1 and 0.01 <= scale <= 100):
        return {}
    all_steps = max(steps, ceil(min(MOST_STEPS, (steps - 1) / denoise)))
    return {"Denoising strength": denoise, "Hires upscale": scale, "Hires steps": all_steps, "Hires upscaler": "Latent"}


def _strengths(inputs: Mapping[str, Any]) -> str:
    unet, text = inputs.get("strength_model", 1.0), inputs.get("strength_clip")
    return _number(unet) if text in (None, unet) else f"{_number(text)}:{_number(unet)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class _Graph:
    """An API prompt, walked from inputs to what they are linked to."""

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        self.prompt = prompt

    def inputs(self, node: str | None) -> Mapping[str, Any]:
        entry = self.prompt.get(node) if node is not None else None
        found = entry.get("inputs") if isinstance(entry, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def kind(self, node: str) -> str:
        entry = self.prompt.get(node)
        return str(entry.get("class_type")) if isinstance(entry, Mapping) else ""

    def link(self, node: str, name: str) -> str | None:
        value = self.inputs(node).get(name)
        return str(value[0]) if isinstance(value, list) and len(value) == 2 else None

    def literal(self, node: str | None, name: str) -> str | None:
        """A text: the input's own, or that of the node it is linked to where this has only one."""
        for _ in range(len(self.prompt) + 1):
            value = self.inputs(node).get(name)
            if isinstance(value, str):
                return value
            node = self.link(node, name) if node is not None else None
            texts = [key for key, text in self.inputs(node).items() if isinstance(text, str)]
            if len(texts) != 1:
                return None
            name = texts[0]
        return None

    def walk(self, node: str, name: str | None = None) -> Iterator[str]:
        """The nodes before one, nearest first; with a name only what hangs on this input."""
        waiting = deque([self.link(node, name)] if name else [self.link(node, each) for each in self.inputs(node)])
        seen: set[str] = set()
        while waiting:
            now = waiting.popleft()
            if now is None or now in seen or now not in self.prompt:
                continue
            seen.add(now)
            yield now
            waiting.extend(self.link(now, each) for each in self.inputs(now))

    def upstream(self, node: str, name: str, kinds: frozenset[str]) -> list[str]:
        return [each for each in self.walk(node, name) if self.kind(each) in kinds]

    def first(self, node: str, kinds: frozenset[str]) -> str | None:
        return next((each for each in self.walk(node) if self.kind(each) in kinds), None)

    def text(self, sampler: str, side: str) -> str:
        """The prompt on one side of a sampler: that of the nearest text node."""
        for node in self.walk(sampler, side):
            if self.kind(node) == _PROMPT:
                return self.literal(node, side) or ""
            if self.kind(node) in _TEXTS:
                return self.literal(node, "text") or ""
        return ""

    def clip_skip(self, sampler: str) -> int | None:
        for node in self.walk(sampler, "positive"):
            found = self.inputs(node).get("clip_skip" if self.kind(node) == _PROMPT else "stop_at_clip_layer")
            if isinstance(found, int) and abs(found) > 1:
                return abs(found)
        return None

    def emphasis(self, sampler: str) -> str | None:
        """How weights were applied, if A1111's node did it and otherwise than A1111 does unasked."""
        for node in self.walk(sampler, "positive"):
            if self.kind(node) == _PROMPT:
                found = self.inputs(node).get("emphasis", "Original")
                return str(found) if found != "Original" else None
        return None

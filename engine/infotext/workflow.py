"""An infotext as a workflow that draws the same kind of picture here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from engine.graph.graph import Link
from engine.graph.workflow import Entry, Workflow
from engine.infotext.names import SECOND_ORDER, Choice, ours
from engine.infotext.text import Infotext

_SIZE = re.compile(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*\Z")
_LORA = re.compile(r"<(?:lora|lyco):([^:>]{1,200})")
MOST_MISSING = 30
"""Missing files of a kind that are told one by one: each is compared with all that there are."""
SAME_SAMPLER, SAME_SCHEDULE = "Use same sampler", "Use same scheduler"
_LATENT_UPSCALERS = {
    "Latent": "bilinear",
    "Latent (antialiased)": "bilinear",
    "Latent (bicubic)": "bicubic",
    "Latent (bicubic antialiased)": "bicubic",
    "Latent (nearest)": "nearest-exact",
    "Latent (nearest-exact)": "nearest-exact",
}
WITHOUT_EFFECT = frozenset(
    {
        "Version", "User", "Model hash", "Lora hashes", "TI hashes", "Hashes", "VAE hash", "Pad conds", "Size-1", "Size-2", "Styles",
        "Template", "Negative Template", "Hires schedule type", "Hires resize", "Hires upscaler",
    }
)  # fmt: skip
"""Settings that are read together with others, or change nothing that is drawn here."""


@dataclass
class _Settings:
    """Reads settings and keeps which were read and what was wrong with them."""

    values: Mapping[str, str]
    notes: list[str]
    read: set[str] = field(default_factory=set)

    def text(self, name: str, default: str = "") -> str:
        self.read.add(name)
        return self.values.get(name, default)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        text = self.text(name)
        if not text:
            return default
        try:
            value = float(text) if len(text) < 50 else float("nan")
        except ValueError:
            value = float("nan")
        if isfinite(value) and low <= value <= high:
            return value
        self.notes.append(f"{name} is {text[:50]!r}, no number from {low:g} to {high:g}; {default:g} takes its place.")
        return default

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name)
        if re.fullmatch(r"\d{1,20}", text) and low <= int(text) <= high:
            return int(text)
        return int(self.number(name, default, low, high))


def workflow_of(info: Infotext, files: Mapping[str, Sequence[str]]) -> tuple[Workflow, list[str]]:
    """A workflow, and what a person should know about it: missing files that the prompt calls, settings that are not taken over.

    That its checkpoint is missing is found when the workflow is checked.

    files: relative names of the files there are, by folder: checkpoints, loras, embeddings.
    """
    settings = _Settings(info.settings, [])
    writer = _Writer(info, settings, files)
    workflow = writer.workflow()
    left = [name for name in info.settings if name not in settings.read | WITHOUT_EFFECT]
    if left:
        settings.notes.append(f"Not taken over: {', '.join(left[:30])[:500]}.")
    return workflow, settings.notes


class _Writer:
    def __init__(self, info: Infotext, settings: _Settings, files: Mapping[str, Sequence[str]]) -> None:
        self.info, self.settings, self.files = info, settings, files
        self.notes = settings.notes
        self.nodes: dict[str, Entry] = {}
        self.places: dict[str, dict[str, list[int]]] = {}

    def add(self, name: str, title: str, class_type: str, inputs: dict[str, Any], column: int, row: int = 0) -> None:
        self.nodes[name] = Entry(class_type, inputs, {"title": title})
        self.places[name] = {"pos": [40 + 360 * column, 80 + 300 * row]}

    def workflow(self) -> Workflow:
        settings = self.settings
        steps = settings.whole("Steps", 20, 1, 10_000)
        seed = settings.whole("Seed", 0, 0, 2**64 - 1)
        cfg = settings.number("CFG scale", 7.0, 0, 100)
        chosen = self.sampler("Sampler", "Schedule type")
        width, height = self.size()
        self.add("checkpoint", "Checkpoint", "LoadCheckpoint", {"ckpt_name": self.checkpoint()}, 0)
        self.prompt("prompt", "Prompt", self.info.prompt, self.info.negative, steps, chosen, 0, 1)
        self.add("latent", "Size", "EmptyLatent", {"width": width, "height": height, "batch_size": 1}, 1, 2)
        sampling = {"seed": seed, "steps": steps, "cfg": cfg, "sampler_name": chosen.sampler, "scheduler": chosen.scheduler}
        guided = {"model": Link("prompt", 0), "positive": Link("prompt", 2), "negative": Link("prompt", 3)}
        self.add("sampler", "Sample", "KSampler", {**guided, "latent_image": Link("latent", 0), **sampling, "denoise": 1.0}, 2)
        last, column = "sampler", 3
        if "Hires upscale" in self.info.settings or "Hires resize" in self.info.settings:
            last, column = self.hires(sampling, chosen, width), 5
        elif "Denoising strength" in self.info.settings:
            strength = settings.text("Denoising strength")
            self.notes.append(
                f"It was drawn from another picture with denoising strength {strength[:20]}, which is not in the text: "
                "connect Load Image and VAE Encode to the sampler, and set denoise."
            )
        self.add("decode", "Decode", "VAEDecode", {"samples": Link(last, 0), "vae": Link("checkpoint", 2)}, column)
        self.add("save", "Save", "SaveImage", {"images": Link("decode", 0), "filename_prefix": "imported"}, column + 1)
        self.check_files()
        if settings.text("RNG", "GPU") != "CPU":
            self.notes.append("Its noise was drawn on a graphics device (RNG); the same seed gives another picture here.")
        layout = {"nodes": self.places, "links": {}, "groups": [], "notes": [], "view": {}}
        return Workflow(self.nodes, layout=layout)

    def sampler(self, name: str, schedule: str) -> Choice:
        chosen = ours(self.settings.text(name, "Euler"), self.settings.text(schedule))
        self.notes += chosen.notes
        return chosen

    def prompt(self, name: str, title: str, positive: str, negative: str, steps: int, chosen: Choice, first: int, column: int) -> None:
        emphasis = self.settings.text("Emphasis", "Original")
        known = {"original": "Original", "no norm": "No norm", "ignore": "Ignore", "none": "None"}
        inputs = {
            "model": Link("checkpoint", 0),
            "clip": Link("checkpoint", 1),
            "positive": positive,
            "negative": negative,
            "seed": 0,
            "steps": steps,
            "second_order": chosen.sampler in SECOND_ORDER,
            "first_pass_steps": first,
            "clip_skip": self.settings.whole("Clip skip", 1, 1, 12),
            "emphasis": known.get(emphasis.lower(), "Original"),
            "variants": False,
        }
        self.add(name, title, "PromptA1111", inputs, column)

    def size(self) -> tuple[int, int]:
        text = self.settings.text("Size", "512x512")
        match = _SIZE.match(text)
        sides = [int(side) for side in match.groups()] if match else [512, 512]
        fitting = [min(16_384, max(16, side // 8 * 8)) for side in sides]
        if match is None or fitting != sides:
            self.notes.append(f"Size is {text[:50]!r}; {fitting[0]}x{fitting[1]} takes its place.")
        return fitting[0], fitting[1]

    def hires(self, sampling: Mapping[str, Any], first: Choice, width: int) -> str:
        """A second pass at a larger size, with its own prompt, steps and sampler where the text names them."""
        settings = self.settings
        steps = settings.whole("Hires steps", 0, 0, 10_000) or int(sampling["steps"])
        denoise = settings.number("Denoising strength", 0.7, 0, 1)
        same = "Use same sampler"
        chosen = first
        if (
            settings.text("Hires sampler", same) != same
            or settings.text("Hires schedule type", "Use same scheduler") != "Use same scheduler"
        ):
            named = settings.text("Hires sampler", same)
            chosen = ours(first.sampler if named == same else named, settings.text("Hires schedule type"))
            self.notes += chosen.notes
        positive = settings.text("Hires prompt") or self.info.prompt
        negative = settings.text("Hires negative prompt") or self.info.negative
        self.prompt("prompt_2", "Prompt of the second pass", positive, negative, steps, chosen, int(sampling["steps"]), 3)
        resized = _SIZE.match(settings.text("Hires resize"))
        scale = int(resized[1]) / width if resized else settings.number("Hires upscale", 2.0, 0.5, 8)
        upscaler = settings.text("Hires upscaler", "Latent")
        if upscaler not in _LATENT_UPSCALERS:
            self.notes.append(f"The upscaler {upscaler[:50]!r} is not applied; the latent image is scaled instead.")
        inputs = {
            "model": Link("prompt_2", 0),
            "positive": Link("prompt_2", 2),
            "negative": Link("prompt_2", 3),
            "samples": Link("sampler", 0),
            "scale_by": min(8.0, max(0.5, scale)),
            "upscale_method": _LATENT_UPSCALERS.get(upscaler, "bicubic"),
            "seed": sampling["seed"],
            # A1111 runs the share `denoise` of the steps and one more, here `steps` are run
            "steps": min(steps, int(min(denoise, 0.999) * steps) + 1),
            "cfg": settings.number("Hires CFG Scale", float(sampling["cfg"]), 0, 100),
            "sampler_name": chosen.sampler,
            "scheduler": chosen.scheduler,
            "denoise": denoise,
        }
        self.add("larger", "Second pass", "HighResFix", inputs, 4)
        return "larger"

    def checkpoint(self) -> str:
        name = self.settings.text("Model").strip()
        known = self.files.get("checkpoints", ())
        wanted = name or (known[0] if known else "model")
        for file in known:
            if wanted in (file, PurePosixPath(file).stem, PurePosixPath(file).with_suffix("").as_posix()):
                if not name:
                    self.notes.append(f"The text names no model; {file} takes its place.")
                return file
        return wanted[:200] if PurePosixPath(wanted).suffix in (".safetensors", ".ckpt") else f"{wanted[:200]}.safetensors"

    def check_files(self) -> None:
        loras = self.files.get("loras", ())
        stems = {PurePosixPath(file).stem for file in loras} | {PurePosixPath(file).with_suffix("").as_posix() for file in loras}
        called = (name.strip() for name in dict.fromkeys(_LORA.findall(self.info.prompt)))
        for name in islice((name for name in called if name not in stems), MOST_MISSING):
            self.missing("LoRA", name, loras)
        embeddings = self.files.get("embeddings", ())
        words = {PurePosixPath(file).stem for file in embeddings}
        named = (part.partition(":")[0].strip() for part in self.settings.text("TI hashes").split(","))
        for name in islice((name for name in named if name and name not in words), MOST_MISSING):
            self.missing("embedding", name, embeddings)

    def missing(self, kind: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name[:100], [PurePosixPath(file).stem for file in known], n=3, cutoff=0.5)
        self.notes.append(f"There is no {kind} {name[:100]!r} here" + (f"; the nearest: {', '.join(near)}." if near else "."))

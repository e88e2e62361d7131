"""Time of a step: `python -m bench.sampling [--model tiny full] [--size 128 256 512] [--precision fp32 bf16] [--steps 10] [--rounds 3]`.

Prints a table in which three ways stand beside each other, on the same network in the same process: the bare call of the U-Net with
both prompts, Easel's sampler, and diffusers' StableDiffusionPipeline (both Euler, with guidance). They take turns; the best round
counts. "batch of N" is N pictures of one prompt in one run, against N runs, at the smallest of the sizes. `full` is Stable Diffusion
1.5 at full size with random weights, a file of 2.1 GB that is made once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from rich.console import Console
from rich.table import Table
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.sample import sample
from engine.diffusion.text.encode import encode
from engine.diffusion.unet import diffusion_model
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.latent import Latent

PROMPTS = ("a red circle on a white background", "")
SCALE = 7.0


def checkpoint_file(model: str) -> Path:
    if model == "tiny":
        return EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors"
    from tests.reference.sd15 import checkpoint  # makes the file where it is not there yet

    return checkpoint()


@dataclass
class Case:
    """One model in one number format, loaded. size: of the picture in pixels."""

    memory: Memory
    checkpoint: Checkpoint
    steps: int
    size: int

    def __post_init__(self) -> None:
        self.prompts = [encode(self.memory, self.checkpoint.clip, text) for text in PROMPTS]
        self.words = [prompt[0].context.to(self.memory.numerics.device, self.memory.numerics.network) for prompt in self.prompts]

    @property
    def shape(self) -> tuple[int, int, int]:
        return 4, self.size // 8, self.size // 8

    def ways(self, unet: Any) -> dict[str, Callable[[], object]]:
        return {"bare": lambda: self.bare(unet), "easel": lambda: self.easel(1), "diffusers": self.pipeline(unet)}

    @torch.no_grad()
    def bare(self, unet: Any) -> None:
        x = torch.randn(2, *self.shape).to(self.memory.numerics.device, self.memory.numerics.network)
        context, timestep = torch.cat(self.words[::-1]), torch.full((2,), 500.0, device=x.device)
        for _ in range(self.steps):
            unet(x, timestep, encoder_hidden_states=context, return_dict=False)

    def easel(self, batch: int) -> Tensor:
        with diffusion_model(self.memory, self.checkpoint.model) as model:
            latent = Latent(torch.zeros(batch, *self.shape))
            options = {"seed": 1, "steps": self.steps, "cfg": SCALE, "sampler_name": "euler", "scheduler": "normal"}
            return sample(model, *self.prompts, latent, **options).samples

    def pipeline(self, unet: Any) -> Callable[[], object]:
        levels = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
        parts = {"vae": None, "text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
        pipeline = StableDiffusionPipeline(unet=unet, scheduler=levels, requires_safety_checker=False, **parts)
        pipeline.set_progress_bar_config(disable=True)
        embeds = dict(zip(("prompt_embeds", "negative_prompt_embeds"), self.words, strict=True))
        size = {"height": self.size, "width": self.size, "num_inference_steps": self.steps, "guidance_scale": SCALE}
        return lambda: pipeline(**embeds, **size, output_type="latent")


def best(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each way in its best round; the ways take turns, each round begins with another. One before them is not counted."""
    found = dict.fromkeys(ways, float("inf"))
    order = list(ways)
    for number in range(rounds + 1):
        for name in order:
            started = time.perf_counter()
            ways[name]()
            if number:
                found[name] = min(found[name], time.perf_counter() - started)
        order = [*order[1:], order[0]]
    return found


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for name in options.model:
        path = checkpoint_file(name)
        for precision in options.precision:
            memory = Memory(choose(options.device, precision))
            for size in options.size:
                case = Case(memory, load_checkpoint(path), options.steps, size)
                with memory.unet(case.checkpoint.model) as unet:
                    seconds = best(case.ways(unet), options.rounds)
                    ms = {way: value / options.steps * 1000 for way, value in seconds.items()}
                    yield [
                        name, precision, str(size), *(f"{value:.1f}" for value in ms.values()),
                        f"{(ms['easel'] / ms['bare'] - 1) * 100:+.1f}%", f"{ms['easel'] / ms['diffusers']:.2f}",
                        batch(case, options) if size == min(options.size) else "-",
                    ]  # fmt: skip


def batch(case: Case, options: argparse.Namespace) -> str:
    """Time of a batch in units of as many runs."""
    if options.batch < 2:
        return "-"
    seconds = best({"batch": lambda: case.easel(options.batch), "runs": lambda: [case.easel(1) for _ in range(options.batch)]}, 1)
    return f"{seconds['batch'] / seconds['runs']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sampling", description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", choices=["tiny", "full"], default=["tiny", "full"])
    parser.add_argument("--size", nargs="+", type=int, default=[128, 256, 512], help="side of the picture in pixels")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=10, help="pictures in the batch that is compared with single runs; 0 for none")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    titles = ("model", "precision", "size", "bare ms/step", "easel ms/step", "diffusers ms/step", "over bare", "easel / diffusers")
    table = Table(*titles, f"batch of {options.batch} / runs")
    for row in rows(options):
        table.add_row(*row)
    Console(width=max(140, Console().width)).print(table)


if __name__ == "__main__":
    main()

"""Steps per second of a LoRA's training: `python -m bench.training [CHECKPOINT.safetensors ...] [--pixels N] [--steps N] [--batch N]`.

Prints a table: the trainer beside a bare loop of the same peft modules and optimizer, both with pictures and captions encoded before,
and beside a bare loop that encodes them itself at every step. All in one process on random pictures; the ways take turns at every step,
and ratios are medians of those within a round. Peak: the highest resident memory of a process of its own that trains that way, minus
that before it loads the networks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import torch
from peft import LoraConfig, inject_adapter_in_model
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

from bench.loading import MIB, peak
from engine.diffusion.adapters.targets import Network, targets
from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.encode import encode
from engine.diffusion.training.networks import shared_copy
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Recipe, recipe_of
from engine.diffusion.vae import encode as encode_pictures
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.dataset import Bucket, Cut, Dataset, Example, TrainingSet
from engine.values.training import Adapter, Objective, Optimizer, Plan
from tests.reference.sd15 import checkpoint as full_size

RANK, RATE, PICTURES, CAPTION = 16, 1e-4, 8, "a red circle on a white background"


def training_set(memory: Memory, checkpoint: Checkpoint, folder: Path, pixels: int) -> TrainingSet:
    """Random latents and one caption, encoded."""
    side = pixels // 8
    condition = encode(memory, checkpoint.clip, CAPTION)[0]
    save_file({"context": condition.context, "pooled": condition.pooled}, folder / "text.safetensors")
    examples, files = [], []
    for number in range(PICTURES):
        generator = torch.Generator().manual_seed(number)
        path = folder / f"{number}.safetensors"
        save_file({"mean": torch.randn(4, side, side, generator=generator), "logvar": torch.full((4, side, side), -2.0)}, path)
        bucket = Bucket(pixels, pixels, pixels, pixels)
        examples.append(Example(f"{number}.png", str(path), str(number), pixels, pixels, (CAPTION,), bucket=bucket))
        files.append((str(path),))
    cut = Cut(pixels, pixels, 0, 0, pixels, pixels)
    return TrainingSet(Dataset(tuple(examples)), ((cut,),) * PICTURES, tuple(files), {CAPTION: str(folder / "text.safetensors")})


def recipe(batch: int) -> Recipe:
    settings = Optimizer(rate=RATE, schedule="constant", warmup=0)
    return recipe_of(Adapter(rank=RANK, alpha=RANK), Objective(), settings, Plan(batch_size=batch))


@contextmanager
def ours(memory: Memory, checkpoint: Checkpoint, data: TrainingSet, pixels: int, batch: int) -> Iterator[Callable[[], object]]:
    with open_trainer(memory, checkpoint.model, None, data, recipe(batch)) as trainer:
        yield trainer.advance


@contextmanager
def bare(
    memory: Memory, checkpoint: Checkpoint, data: TrainingSet, pixels: int, batch: int, cached: bool = True
) -> Iterator[Callable[[], object]]:
    """The loop of a script: random latents (or pictures through the VAE and captions through the text encoder), noise, loss, step."""
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
    condition = encode(memory, checkpoint.clip, CAPTION)[0].context.repeat(batch, 1, 1)
    with memory.unet(checkpoint.model) as loaded:
        unet = shared_copy(loaded)
        paths = [target.path for target in targets(Network.of(checkpoint.model.weights))]
        inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=paths), unet)
        unet.train()
        parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=RATE)

        def step() -> float:
            context = condition
            if cached:
                latents = torch.randn(batch, 4, pixels // 8, pixels // 8)
            else:
                latents = encode_pictures(memory, checkpoint.vae, torch.rand(batch, pixels, pixels, 3)) * 0.18215
                context = torch.cat([encode(memory, checkpoint.clip, CAPTION)[0].context for _ in range(batch)])
            noise, t = torch.randn_like(latents), torch.randint(1000, (batch,))
            signal = alphas[t].view(-1, 1, 1, 1)
            noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
            with torch.autocast("cpu", memory.numerics.network, enabled=memory.numerics.network != torch.float32):
                output = unet(noisy, t, encoder_hidden_states=context, return_dict=False)[0]
            loss = torch.nn.functional.mse_loss(output.float(), noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            return loss.item()

        yield step


def uncached(*arguments: object) -> object:
    return bare(*arguments, cached=False)  # type: ignore[arg-type]


WAYS = {"bare": bare, "ours": ours, "bare, nothing cached": uncached}


def timed(options: argparse.Namespace, path: Path) -> dict[str, list[float]]:
    """Seconds of each step by way. The ways take turns at every step, each round beginning with another."""
    memory = Memory(choose("cpu", options.precision))
    checkpoint = load_checkpoint(path)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = training_set(memory, checkpoint, Path(folder), options.pixels)
        steps = {way: stack.enter_context(opened(memory, checkpoint, data, options.pixels, options.batch)) for way, opened in WAYS.items()}
        for step in steps.values():
            step()
        for number in range(options.steps):
            for place in range(len(WAYS)):
                way = list(WAYS)[(number + place) % len(WAYS)]
                started = time.perf_counter()
                steps[way]()
                seconds[way].append(time.perf_counter() - started)
    return seconds


def peak_of(options: argparse.Namespace, path: Path, way: str) -> float:
    """MiB that a process of its own takes at most for two steps."""
    command = [sys.executable, "-m", "bench.training", str(path), "--way", way, "--pixels", str(options.pixels)]
    command += ["--batch", str(options.batch), "--precision", options.precision]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])["peak"] / MIB


def two_steps(options: argparse.Namespace, path: Path) -> int:
    """The bytes that they take at most, with the weights."""
    memory = Memory(choose("cpu", options.precision))
    checkpoint = load_checkpoint(path)
    with tempfile.TemporaryDirectory() as folder:
        data = training_set(memory, checkpoint, Path(folder), options.pixels)
        before = peak()
        with WAYS[options.way](memory, checkpoint, data, options.pixels, options.batch) as step:
            step(), step()
    return peak() - before


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="*", help="by default the embedded model and a random one of full size, made once")
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    paths = options.checkpoint or [EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors", full_size()]
    if options.way:
        print(json.dumps({"peak": two_steps(options, paths[0])}))
        return
    table = Table("model", "way", "steps / s", "time / bare", "speed / nothing cached", "peak MiB")
    for path in paths:
        seconds = timed(options, path)
        for way, times in seconds.items():
            against, cached = (median(_ratios(times, seconds[other])) for other in ("bare", "bare, nothing cached"))
            figures = (f"{1 / median(times):.2f}", f"{against:.3f}", f"{1 / cached:.2f}", f"{peak_of(options, path, way):,.0f}")
            table.add_row(path.stem, way, *figures)
    Console(width=120).print(table)


def _ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Of steps of the same round, so that what else the machine does counts for both."""
    return [one / other for one, other in zip(times, others, strict=True)]


if __name__ == "__main__":
    main()

"""Steps per second of a LoRA's training: `python -m bench.training CHECKPOINT.safetensors [--pixels N] [--steps N] [--batch N]`.

Prints a table: the trainer beside a bare loop of the same peft modules and optimizer, and the trainer with encoded captions beside a
bare loop that encodes pictures and captions itself. All in one process, in turns, on random pictures. Peak: the highest resident memory
of a process of its own that trains that way, minus that before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from engine.values.dataset import Bucket, Cut, Dataset, Example, TrainingSet
from engine.values.training import Adapter, Objective, Optimizer, Plan

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
        unet = shared_copy(loaded, checkpoint.model.weights)
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


WAYS = {"ours": ours, "bare": bare, "bare, nothing cached": uncached}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    memory = Memory(choose("cpu", options.precision))
    checkpoint = load_checkpoint(options.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        data = training_set(memory, checkpoint, Path(folder), options.pixels)
        if options.way:
            before = peak()
            with WAYS[options.way](memory, checkpoint, data, options.pixels, options.batch) as step:
                step(), step()
            print(json.dumps({"peak": peak() - before}))
            return
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(3):
            for way, opened in WAYS.items():
                with opened(memory, checkpoint, data, options.pixels, options.batch) as step:
                    step()
                    for _ in range(options.steps):
                        started = time.perf_counter()
                        step()
                        seconds[way].append(time.perf_counter() - started)
    report(options, seconds)


def report(options: argparse.Namespace, seconds: dict[str, list[float]]) -> None:
    base = median(seconds["bare"])
    table = Table("way", "steps / s", "time / bare", "peak MiB")
    for way, times in seconds.items():
        command = [sys.executable, "-m", "bench.training", str(options.checkpoint), "--way", way, "--pixels", str(options.pixels)]
        command += ["--batch", str(options.batch), "--precision", options.precision]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        table.add_row(way, f"{1 / median(times):.2f}", f"{median(times) / base:.3f}", f"{found['peak'] / MIB:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

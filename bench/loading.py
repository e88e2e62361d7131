"""Load time and memory of a checkpoint: `python -m bench.loading CHECKPOINT.safetensors [--precision P]`.

Prints a table: this engine beside the plain way (safetensors' load_file, then diffusers' and transformers' modules). Each row is a
process of its own. Peak: resident memory at its highest (VmHWM) minus its highest after the imports, in units of the weights in the
format that they run in.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

MIB = 2**20


def peak() -> int:
    """The highest resident memory of this process so far, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measured(load: Callable[[], list]) -> dict[str, float]:
    before, started = peak(), time.perf_counter()
    modules = load()
    seconds, used = time.perf_counter() - started, peak() - before
    weights = sum(tensor.numel() * tensor.element_size() for module in modules for tensor in module.state_dict().values())
    return {"seconds": seconds, "peak": used, "weights": weights}


def engine(path: Path, precision: str) -> dict[str, float]:
    from engine.diffusion.checkpoints import load_checkpoint
    from engine.diffusion.devices import choose
    from engine.diffusion.memory import Memory

    memory = Memory(choose("cpu", precision), budget=2**40)

    def load() -> list:
        checkpoint = load_checkpoint(path)
        with memory.unet(checkpoint.model) as unet, memory.text_encoder(checkpoint.clip) as text, memory.autoencoder(checkpoint.vae) as vae:
            return [unet, text, vae]

    return measured(load)


def plain(path: Path, precision: str) -> dict[str, float]:
    """The whole file as tensors, then modules made in the usual way and filled."""
    from safetensors.torch import load_file

    from engine.diffusion.checkpoints import load_checkpoint
    from engine.diffusion.devices import choose
    from engine.diffusion.families import FAMILIES

    numerics = choose("cpu", precision)
    dtypes = {"unet": numerics.network, "vae": numerics.vae, "text_encoder": numerics.text}

    def load() -> list:
        tensors, modules = load_file(path), []
        for value in load_checkpoint(path):
            part = FAMILIES[value.weights.family].parts[value.weights.part]
            module = part.build(value.weights.arguments)
            renaming, prefix, wanted = part.renaming(value.weights.arguments), value.weights.prefix, module.state_dict()
            found = {renaming.to_module(name.removeprefix(prefix)): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            module.load_state_dict({name: found[name].reshape(wanted[name].shape) for name in wanted})
            modules.append(module.to(dtypes[part.name]))
        return modules

    return measured(load)


WAYS = {"engine": engine, "plain": plain}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.loading", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--precision", nargs="+", default=["reference", "bf16", "fp16"])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(WAYS[options.way](options.checkpoint, options.precision[0])))
        return
    table = Table("precision", "way", "seconds", "weights MiB", "peak MiB", "peak / weights")
    for precision in options.precision:
        for way in WAYS:
            command = [sys.executable, "-m", "bench.loading", str(options.checkpoint), "--way", way, "--precision", precision]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            ratio = found["peak"] / found["weights"]
            table.add_row(
                precision, way, f"{found['seconds']:.1f}", f"{found['weights'] / MIB:,.0f}", f"{found['peak'] / MIB:,.0f}", f"{ratio:.2f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()

"""Grade the embedded model with Easel's own engine: `python -m tools.grade_tiny_shapes`.

Draws prompts of combinations that no training picture showed, has each picture judged from its pixels alone, and prints
the figures as Markdown. With `--report docs/tiny_shapes.md` it also puts them there, and the contact sheet beside it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.diffusion import vae
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.sample import sample
from engine.diffusion.text.encode import encode
from engine.diffusion.unet import diffusion_model
from engine.values.latent import Latent
from tools.tiny_shapes.judge import Verdict, judge
from tools.tiny_shapes.judge_table import agrees, judge_table
from tools.tiny_shapes.pictures import COLOURS, SHAPES
from tools.tiny_shapes.prompts import Prompt, held_out_prompts
from tools.train_tiny_shapes import OUT

SEED = 11
UNCLEAR = "unclear"
START, END = "<!-- grade -->\n", "<!-- /grade -->\n"
SHEET = (4, 8)  # rows and columns of the contact sheet


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=OUT)
    parser.add_argument("--single", type=int, default=160, help="prompts of one shape")
    parser.add_argument("--pairs", type=int, default=40, help="prompts of two shapes")
    parser.add_argument("--judged", type=int, default=300, help="drawn pictures for the judge's own table")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--scheduler", default="normal")
    parser.add_argument("--precision", default="auto", choices=("auto", "reference", "fp32", "bf16", "fp16"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", type=Path, help="a Markdown file with a place for the figures")
    return parser.parse_args()


def draw(chosen: argparse.Namespace, prompts: list[Prompt], seeds: Sequence[int]) -> list[np.ndarray]:
    """One picture per prompt and seed, uint8 [128, 128, 3]."""
    memory = Memory(choose(precision=chosen.precision))
    checkpoint = load_checkpoint(chosen.checkpoint)
    negative = encode(memory, checkpoint.clip, "")
    pictures = []
    with diffusion_model(memory, checkpoint.model) as network:
        for seed, prompt in zip(seeds, prompts, strict=True):
            latent = sample(
                network,
                encode(memory, checkpoint.clip, prompt.text),
                negative,
                Latent(torch.zeros(1, 4, 16, 16)),
                seed=seed,
                steps=chosen.steps,
                cfg=chosen.cfg,
                sampler_name=chosen.sampler,
                scheduler=chosen.scheduler,
            )
            pictures.append(vae.decode(memory, checkpoint.vae, latent.samples)[0].mul(255).round().byte().numpy())
    return pictures


def draw_together(chosen: argparse.Namespace, prompts: list[Prompt]) -> list[np.ndarray]:
    """One picture per prompt, the seed counting up from 0, in several processes of one thread each."""
    parts = [range(first, len(prompts), chosen.processes) for first in range(chosen.processes)]
    pictures: dict[int, np.ndarray] = {}
    spawn = get_context("spawn")
    with ProcessPoolExecutor(chosen.processes, spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        work = [pool.submit(draw, chosen, [prompts[i] for i in part], part) for part in parts]
        for part, drawn in zip(parts, work, strict=True):
            pictures.update(zip(part, drawn.result(), strict=True))
    return [pictures[i] for i in range(len(prompts))]


def percent(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / whole:.1f}%)" if whole else "-"


def singles_table(prompts: list[Prompt], verdicts: list[Verdict]) -> list[str]:
    """How many prompts of one shape are right, by what is asked."""
    counts: Counter[str] = Counter()
    for prompt, verdict in zip(prompts, verdicts, strict=True):
        thing = prompt.scene.things[0]
        ground, colour = verdict.background == prompt.scene.ground, verdict.colour == thing.colour
        shape = verdict.shape == thing.shape
        counts.update({"background": ground, "colour": colour, "shape": shape, "colour and background": ground and colour})
        counts["all three"] += ground and colour and shape
        counts["all three, and the position"] += ground and colour and shape and _placed(prompt, verdict)
    return ["| one shape | right |", "| --- | --- |", *(f"| {name} | {percent(count, len(prompts))} |" for name, count in counts.items())]


def _placed(prompt: Prompt, verdict: Verdict) -> bool:
    wanted, found = prompt.scene.things[0], verdict.things[0]
    return abs(found.x - wanted.x) < 14 and abs(found.y - wanted.y) < 14


def confusion(title: str, names: list[str], asked: list[str], found: list[str | None]) -> list[str]:
    """A table of what was asked (rows) against what was found (columns)."""
    counts = Counter(zip(asked, (answer or UNCLEAR for answer in found), strict=True))
    columns = [*names, UNCLEAR]
    rows = [f"| {name} | " + " | ".join(str(counts[name, column] or "") for column in columns) + " |" for name in names]
    return [f"| {title} | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns), *rows]


def contact_sheet(pictures: list[np.ndarray]) -> Image.Image:
    rows, columns = SHEET
    shown = [np.pad(picture, ((2, 2), (2, 2), (0, 0)), constant_values=255) for picture in pictures[: rows * columns]]
    lines = [np.concatenate(shown[i : i + columns], axis=1) for i in range(0, len(shown) // columns * columns, columns)]
    return Image.fromarray(np.concatenate(lines, axis=0))


def grade(chosen: argparse.Namespace) -> tuple[list[str], Image.Image]:
    """The report's lines, and the contact sheet of the first pictures."""
    lines = ["| judge alone | accepted |", "| --- | --- |"]
    lines += [f"| {name} | {percent(accepted, shown)} |" for name, accepted, shown in judge_table(chosen.judged, SEED)]
    singles = held_out_prompts(chosen.single, things=1, seed=SEED)
    pairs = held_out_prompts(chosen.pairs, things=2, seed=SEED + 1)
    pictures = draw_together(chosen, singles + pairs)
    verdicts = [judge(picture) for picture in pictures]
    single_verdicts, pair_verdicts = verdicts[: len(singles)], verdicts[len(singles) :]
    right = sum(agrees(verdict, prompt.scene) for prompt, verdict in zip(pairs, pair_verdicts, strict=True))
    lines += ["", f"{chosen.sampler}, {chosen.scheduler}, {chosen.steps} steps, CFG {chosen.cfg}, precision {chosen.precision}:", ""]
    lines += [*singles_table(singles, single_verdicts), f"| two shapes, everything and their order | {percent(right, len(pairs))} |", ""]
    things = [prompt.scene.things[0] for prompt in singles]
    lines += [*confusion("shape", list(SHAPES), [t.shape for t in things], [v.shape for v in single_verdicts]), ""]
    lines += [*confusion("colour", list(COLOURS), [t.colour for t in things], [v.colour for v in single_verdicts]), ""]
    lines += confusion("background", list(COLOURS), [p.scene.ground for p in singles], [v.background for v in single_verdicts])
    rows, columns = SHEET
    lines += ["", "The first prompts, as on the contact sheet:", ""]
    lines += [f"{i + 1}. {prompt.text}" for i, prompt in enumerate(singles[: rows * columns])]
    return lines, contact_sheet(pictures)


def put_into(report: Path, lines: list[str], sheet: Image.Image) -> None:
    """Replace what stands between the two marks of the report, and the picture beside it."""
    text = report.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    report.write_text(before + START + "\n".join(lines) + "\n" + END + after, encoding="utf-8")
    sheet.quantize(256).save(report.with_suffix(".png"), optimize=True)


def main() -> None:
    chosen = options()
    lines, sheet = grade(chosen)
    print("\n".join(lines))
    if chosen.report:
        put_into(chosen.report, lines, sheet)


if __name__ == "__main__":
    main()

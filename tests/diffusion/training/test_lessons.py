"""What the embedded model learns from twenty pictures: a subject, a style, a colour without a name, and two LoRAs together.

Judged by pixel counting alone. Training and drawing take minutes; the figures are printed and kept in docs/tiny_shapes.md.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.diffusion import vae
from engine.diffusion.adapters.lora import apply_lora
from engine.diffusion.checkpoints import Checkpoint
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.sample import sample
from engine.diffusion.text.encode import encode
from engine.diffusion.training.buckets import BucketPlan, with_buckets
from engine.diffusion.training.entry_cache import EntryCache
from engine.diffusion.training.learned_word import embedding_of
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Recipe, Word, recipe_of, word_recipe
from engine.diffusion.training.result import lora_of
from engine.diffusion.training.training_set import prepare
from engine.diffusion.unet import diffusion_model
from engine.values.latent import Latent
from engine.values.lora import Lora
from engine.values.training import Adapter, Objective, Optimizer, Plan, TrainingState
from tests.diffusion.training.drawn import read
from tools.tiny_shapes.captions import caption_text, caption_words
from tools.tiny_shapes.judge import shows
from tools.tiny_shapes.pictures import SHAPES, draw_scene, random_scene
from tools.tiny_shapes.subject_judge import has_colour, is_pinwheel, outlined, shows_pinwheel
from tools.tiny_shapes.subjects import Lesson, coloured, outlines, pinwheels, write

PICTURES, DRAWN, SECONDS = 20, 50, 300
GROUNDS = ("white", "black", "yellow")
COLOURS = ("red", "green", "blue", "yellow", "purple")
PLAN = Plan(steps=400, batch_size=4, seed=1)
SETTINGS = Optimizer(rate=2e-3)

pytestmark = pytest.mark.slow


@dataclass
class School:
    """The embedded model, and what it was taught in this folder."""

    memory: Memory
    checkpoint: Checkpoint
    folder: Path

    def learn(self, lessons: list[Lesson], recipe: Recipe, *, encoded: bool = True, prior: bool = False) -> TrainingState:
        """Train on lessons, with pictures of known shapes beside them for prior preservation; within the time that is promised."""
        write(lessons, self.folder / "lessons")
        dataset = read(self.folder / "lessons")
        if prior:
            write(known(PICTURES), self.folder / "known")
            others = read(self.folder / "known", regularisation=True)
            dataset = replace(dataset, examples=dataset.examples + others.examples)
        sized = with_buckets(dataset, BucketPlan(128, 128, 64, 256, 32))
        checkpoint = self.checkpoint
        data = prepare(self.memory, sized, checkpoint.vae, checkpoint.clip if encoded else None, EntryCache(self.folder / "cache"))
        started = time.process_time()
        with open_trainer(self.memory, checkpoint.model, checkpoint.clip, data, recipe) as trainer:
            while trainer.step < PLAN.steps:
                trainer.advance()
            state = trainer.state()
        print(f"trained {state.step} steps in {time.process_time() - started:.0f} s of processor time")
        assert time.process_time() - started < 2 * SECONDS
        return state

    def draw(self, prompts: Sequence[str], *loras: tuple[Lora, float], checkpoint: Checkpoint | None = None) -> list[np.ndarray]:
        """One picture [128, 128, 3] for each prompt."""
        model, clip, decoder = checkpoint or self.checkpoint
        for lora, strength in loras:
            model, encoder, _ = apply_lora(model, clip, lora, strength, strength)
            clip = encoder or clip
        negative = encode(self.memory, clip, "")
        words = [encode(self.memory, clip, prompt) for prompt in prompts]
        found = []
        with diffusion_model(self.memory, model) as network:
            for seed, positive in enumerate(words):
                latent = Latent(torch.zeros(1, 4, 16, 16))
                drawn = sample(network, positive, negative, latent, seed=seed, steps=20, cfg=4.0, sampler_name="euler", scheduler="normal")
                found.append(vae.decode(self.memory, decoder, drawn.samples)[0].mul(255).round().byte().numpy())
        return found


@pytest.fixture
def school(memory: Memory, checkpoint: Checkpoint, tmp_path: Path) -> School:
    return School(memory, checkpoint, tmp_path)


def known(count: int) -> list[Lesson]:
    """Pictures of shapes that the model knows."""
    rng = random.Random(4)
    scenes = [random_scene(rng, things=1) for _ in range(count)]
    return [Lesson(draw_scene(scene, rng), caption_text(caption_words(scene, rng, omit=0.0))) for scene in scenes]


def share(name: str, pictures: Sequence[np.ndarray], test: Callable[[np.ndarray], bool]) -> float:
    found = sum(map(test, pictures)) / len(pictures)
    print(f"{name}: {found:.0%} of {len(pictures)}")
    return found


def lora() -> Recipe:
    return recipe_of(Adapter(rank=8, alpha=8), Objective(weighting="min_snr", stratified=True), SETTINGS, PLAN)


def subject_prompts() -> list[tuple[str, str, str]]:
    pairs = [(colour, ground) for colour in COLOURS for ground in GROUNDS if colour != ground]
    picked = [pairs[number % len(pairs)] for number in range(DRAWN)]
    return [(f"a {colour} sks shape on a {ground} background", colour, ground) for colour, ground in picked]


def red_circle(picture: np.ndarray) -> bool:
    return shows(picture, "circle", "red", "white")


def test_a_new_subject(school):
    base = share("base: a red circle", school.draw(["a red circle on a white background"] * DRAWN), red_circle)
    subject = lora_of(school.learn(pinwheels(PICTURES, seed=1), lora(), prior=True))
    prompts = subject_prompts()
    drawn = school.draw([prompt for prompt, _, _ in prompts], (subject, 1.0))
    held = share("weight 1: the subject", drawn, is_pinwheel)
    coloured_right = np.mean([shows_pinwheel(picture, colour, ground) for picture, (_, colour, ground) in zip(drawn, prompts, strict=True)])
    print(f"weight 1: the subject in its colours: {coloured_right:.0%}")
    without = share("weight 0: the subject", school.draw([prompt for prompt, _, _ in prompts], (subject, 0.0)), is_pinwheel)
    kept = share("a red circle", school.draw(["a red circle on a white background"] * DRAWN, (subject, 1.0)), red_circle)
    assert held >= 0.8 and without == 0 and coloured_right >= 0.8
    assert kept >= 0.9 * base


def test_a_style_and_half_of_it(school):
    style = lora_of(school.learn(outlines(PICTURES, seed=2), lora()))
    prompts = [f"sks outline, a {COLOURS[n % 5]} {SHAPES[n % len(SHAPES)]} on a {GROUNDS[n % 2]} background" for n in range(DRAWN)]
    shares = [
        share(f"weight {weight}: outlines", school.draw(prompts, (style, weight)), lambda picture: outlined(picture) is not None)
        for weight in (0.0, 0.5, 1.0)
    ]
    assert shares[2] >= 0.8 and shares[0] == 0
    assert shares[0] <= shares[1] <= shares[2]


def test_a_new_word_learns_a_colour_without_a_name(school):
    recipe = word_recipe(Word(name="sks", start="blue", vectors=2), Objective(stratified=True), Optimizer(rate=0.01), PLAN)
    state = school.learn(coloured("teal", PICTURES, seed=3), recipe, encoded=False)
    checkpoint = school.checkpoint
    taught = checkpoint._replace(clip=checkpoint.clip.with_embedding(embedding_of(state, checkpoint.clip)))
    prompts = [f"a embedding:sks {SHAPES[n % len(SHAPES)]} on a {GROUNDS[n % 2]} background" for n in range(DRAWN)]
    learnt = share("the new word: teal", school.draw(prompts, checkpoint=taught), lambda picture: has_colour(picture, "teal"))
    plain = [prompt.replace("embedding:sks", "sks") for prompt in prompts]
    before = share("without it: teal", school.draw(plain), lambda picture: has_colour(picture, "teal"))
    assert learnt >= 0.5 and before <= 0.1


def test_two_loras_together_keep_both(school):
    subject = lora_of(school.learn(pinwheels(PICTURES, seed=1), lora(), prior=True))
    style_school = School(school.memory, school.checkpoint, school.folder / "style")
    style = lora_of(style_school.learn(outlines(PICTURES, seed=2), lora()))
    prompts = [f"sks outline, a {COLOURS[n % 5]} {SHAPES[n % len(SHAPES)]} on a white background" for n in range(DRAWN)]
    styled = share("both: outlines", school.draw(prompts, (subject, 1.0), (style, 1.0)), lambda picture: outlined(picture) is not None)
    subjects = [prompt for prompt, _, _ in subject_prompts()]
    held = share("both: the subject", school.draw(subjects, (subject, 1.0), (style, 0.3)), is_pinwheel)
    assert styled >= 0.6 and held >= 0.6

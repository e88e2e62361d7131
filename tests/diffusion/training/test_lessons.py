"""What the embedded model learns from twenty pictures: a subject, a style, a colour without a name, and two LoRAs together.

With the settings of the presets, judged by counting pixels. It takes minutes; docs/tiny_shapes.md has the figures that are printed.
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

from engine.cli.training import preset_values, set_values
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
from engine.graph.folders import EXAMPLE_WORKFLOWS
from engine.graph.workflow_reader import parse_document
from engine.settings import load
from engine.values.conditioning import Condition, Conditioning
from engine.values.latent import Latent
from engine.values.lora import Lora
from engine.values.training import Adapter, Objective, Optimizer, Plan, TrainingState
from tests.diffusion.training.drawn import read
from tools.tiny_shapes.captions import caption_text, caption_words
from tools.tiny_shapes.judge import shows
from tools.tiny_shapes.pictures import SHAPES, draw_scene, random_scene
from tools.tiny_shapes.subject_judge import has_colour, is_pinwheel, outlined, shows_pinwheel
from tools.tiny_shapes.subjects import CONTRASTS, Lesson, coloured, figures, filled, outlines, pinwheels, write

PICTURES, DRAWN, TOGETHER = 20, 50, 10
SECONDS = 2 * 300  # of processor time: five minutes on two cores
SUBJECTS = [CONTRASTS[number % len(CONTRASTS)] for number in range(DRAWN)]
SUBJECT_PROMPTS = [f"a {colour} sks shape on a {ground} background" for colour, ground in SUBJECTS]
STYLE_PROMPTS = [
    f"a hollow drawing of a {colour} {SHAPES[number % len(SHAPES)]} on a {ground} background"
    for number, (colour, ground) in enumerate(SUBJECTS)
]
RED_CIRCLES = ["a red circle on a white background"] * DRAWN

pytestmark = pytest.mark.slow


@dataclass
class School:
    """The embedded model, and a folder for what it is taught with."""

    memory: Memory
    checkpoint: Checkpoint
    folder: Path

    def learn(
        self,
        lessons: list[Lesson],
        recipe: Recipe,
        steps: int,
        *,
        encoded: bool = True,
        prior: Sequence[Lesson] = (),
        start: Lora | None = None,
        on: Sequence[tuple[Lora, float]] = (),
    ) -> TrainingState:
        """Train on lessons, within the time that is promised.

        prior: what is trained on beside, to keep it (prior preservation). start: what the training goes on from. on: LoRAs that the
        model has meanwhile.
        """
        folder = self.folder / str(len(list(self.folder.iterdir())))
        write(lessons, folder / "lessons")
        dataset = read(folder / "lessons")
        if prior:
            write(list(prior), folder / "known")
            dataset = replace(dataset, examples=dataset.examples + read(folder / "known", regularisation=True).examples)
        sized = with_buckets(dataset, BucketPlan(128, 128, 64, 256, 32))
        model, clip, encoder = self.with_loras(*on)
        data = prepare(self.memory, sized, encoder, clip if encoded else None, EntryCache(self.folder / "cache"))
        started = time.process_time()
        with open_trainer(self.memory, model, clip, data, recipe, start) as trainer:
            while trainer.step < steps:
                trainer.advance()
            state = trainer.state()
        seconds = time.process_time() - started
        print(f"trained {state.step} steps in {seconds:.0f} s of processor time")
        assert seconds < SECONDS
        return state

    def draw(self, prompts: Sequence[str], *loras: tuple[Lora, float], checkpoint: Checkpoint | None = None) -> list[np.ndarray]:
        """One picture [128, 128, 3] for each prompt."""
        model, clip, decoder = checkpoint or self.with_loras(*loras)
        negative = encode(self.memory, clip, "")
        contexts = [encode(self.memory, clip, prompt)[0].context for prompt in prompts]
        found: list[np.ndarray] = []
        with diffusion_model(self.memory, model) as network:
            for start in range(0, len(prompts), TOGETHER):
                positive = Conditioning([Condition(torch.cat(contexts[start : start + TOGETHER]))])
                latent = Latent(torch.zeros(len(positive[0].context), 4, 16, 16))
                drawn = sample(network, positive, negative, latent, seed=start, steps=20, cfg=4.0, sampler_name="euler", scheduler="normal")
                found += [picture.mul(255).round().byte().numpy() for picture in vae.decode(self.memory, decoder, drawn.samples)]
        return found

    def with_loras(self, *loras: tuple[Lora, float]) -> Checkpoint:
        model, clip, autoencoder = self.checkpoint
        for lora, strength in loras:
            model, encoder, _ = apply_lora(model, clip, lora, strength, strength)
            clip = encoder or clip
        return Checkpoint(model, clip, autoencoder)


@pytest.fixture(scope="module")
def school(memory: Memory, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> School:
    return School(memory, checkpoint, tmp_path_factory.mktemp("school"))


@pytest.fixture(scope="module")
def subject(school: School) -> Lora:
    return lora_of(school.learn(pinwheels(PICTURES, seed=1), *preset("tiny"), prior=known(PICTURES)))


@pytest.fixture(scope="module")
def style(school: School) -> Lora:
    """With other pictures beside, of which it is asked what the model drew before, so that it takes the word to draw outlines."""
    recipe, steps = preset("tiny_style")
    beside = filled(30, seed=4) + figures(50, seed=9)
    return lora_of(school.learn(outlines(PICTURES, seed=2), keeping(recipe), steps, prior=beside))


@pytest.fixture(scope="module")
def partner(school: School, subject: Lora, style: Lora) -> Lora:
    """The subject, which goes on learning on the model with the style, as workflows/two_loras.json does. The style's own pictures are
    beside, so that it is kept."""
    recipe, steps = preset("tiny")
    recipe = recipe.model_copy(update={"optimizer": recipe.optimizer.model_copy(update={"rate": 3e-3})})
    beside = filled(PICTURES // 2, seed=4) + outlines(PICTURES, seed=2)
    return lora_of(school.learn(pinwheels(PICTURES, seed=1), keeping(recipe), steps, prior=beside, start=subject, on=((style, 1.0),)))


def keeping(recipe: Recipe) -> Recipe:
    """The recipe by which the network is asked of pictures beside what it said before, not what they show."""
    return recipe.model_copy(update={"objective": recipe.objective.model_copy(update={"preserve_class": True})})


def preset(name: str) -> tuple[Recipe, int]:
    """What `easel train --preset NAME` teaches with: the recipe, and the number of steps."""
    workflow = parse_document((EXAMPLE_WORKFLOWS / "train_lora.json").read_bytes())
    set_values(workflow, preset_values(load(), "", name))
    own = {name: workflow.nodes[name].inputs for name in ("adapter", "objective", "optimizer", "plan")}
    plan = Plan(**own["plan"])
    return recipe_of(Adapter(**own["adapter"]), Objective(**own["objective"]), Optimizer(**own["optimizer"]), plan), plan.steps


def new_colour() -> tuple[Recipe, int]:
    """How the word is taught: colours are decided where the noise is strongest, and vectors move far."""
    objective = Objective(weighting="min_snr", gamma=0.05, noise_offset=0.1, stratified=True)
    plan = Plan(steps=600, batch_size=4, seed=1)
    return word_recipe(Word(name="sks", start="green blue", vectors=4), objective, Optimizer(rate=0.03), plan), plan.steps


def known(count: int) -> list[Lesson]:
    """Pictures of shapes that the model knows."""
    rng = random.Random(4)
    scenes = [random_scene(rng, things=1) for _ in range(count)]
    return [Lesson(draw_scene(scene, rng), caption_text(caption_words(scene, rng, omit=0.0))) for scene in scenes]


def share(name: str, pictures: Sequence[np.ndarray], test: Callable[[np.ndarray], bool]) -> float:
    found = sum(map(test, pictures)) / len(pictures)
    print(f"{name}: {found:.0%} of {len(pictures)}")
    return found


def coloured_share(name: str, pictures: Sequence[np.ndarray]) -> float:
    """How many of the pictures of SUBJECTS show the subject in its colours."""
    right = [shows_pinwheel(picture, colour, ground) for picture, (colour, ground) in zip(pictures, SUBJECTS, strict=True)]
    print(f"{name}: {np.mean(right):.0%}")
    return float(np.mean(right))


def red_circle(picture: np.ndarray) -> bool:
    return shows(picture, "circle", "red", "white")


def is_turquoise(picture: np.ndarray) -> bool:
    return has_colour(picture, "turquoise")


def is_outline(picture: np.ndarray) -> bool:
    return outlined(picture) is not None


def test_a_new_subject(school: School, subject: Lora):
    drawn = school.draw(SUBJECT_PROMPTS, (subject, 1.0))
    assert share("weight 1: the subject", drawn, is_pinwheel) >= 0.8
    assert coloured_share("weight 1: the subject in its colours", drawn) >= 0.8
    assert share("weight 0: the subject", school.draw(SUBJECT_PROMPTS, (subject, 0.0)), is_pinwheel) == 0
    assert share("weight 1: a red circle", school.draw(RED_CIRCLES, (subject, 1.0)), red_circle) >= 0.9


def test_a_style_and_half_of_it(school: School, style: Lora):
    shares = [share(f"weight {weight}: outlines", school.draw(STYLE_PROMPTS, (style, weight)), is_outline) for weight in (0.0, 0.5, 1.0)]
    assert shares[2] >= 0.8 and shares[0] == 0
    assert shares[0] <= shares[1] <= shares[2]


def test_a_new_word_learns_a_colour_without_a_name(school: School):
    state = school.learn(coloured("turquoise", PICTURES, seed=3), *new_colour(), encoded=False)
    model, clip, decoder = school.checkpoint
    taught = Checkpoint(model, clip.with_embedding(embedding_of(state, clip)), decoder)
    prompts = [
        f"a embedding:sks {SHAPES[number % len(SHAPES)]} on a {('white', 'black')[number // 8 % 2]} background" for number in range(DRAWN)
    ]
    learnt = share("the new word: turquoise", school.draw(prompts, checkpoint=taught), is_turquoise)
    before = share("without it: turquoise", school.draw([prompt.replace("embedding:", "") for prompt in prompts]), is_turquoise)
    assert learnt >= 0.8 and before <= 0.1


def test_two_loras_together_keep_both(school: School, subject: Lora, style: Lora, partner: Lora):
    """When one has gone on learning beside the other. Two that know nothing of each other keep about two thirds of each."""
    strangers = ((subject, 1.0), (style, 0.85))
    share("strangers: outlines", school.draw(STYLE_PROMPTS, *strangers), is_outline)
    share("strangers: the subject", school.draw(SUBJECT_PROMPTS, *strangers), is_pinwheel)
    both = ((partner, 1.0), (style, 1.0))
    styled = share("both: outlines", school.draw(STYLE_PROMPTS, *both), is_outline)
    drawn = school.draw(SUBJECT_PROMPTS, *both)
    held = share("both: the subject", drawn, is_pinwheel)
    coloured_share("both: the subject in its colours", drawn)
    alone = share("without the style: the subject", school.draw(SUBJECT_PROMPTS, (partner, 1.0)), is_pinwheel)
    assert styled >= 0.8 and held >= 0.8 and alone >= 0.8
    assert share("without the style: a red circle", school.draw(RED_CIRCLES, (partner, 1.0)), red_circle) >= 0.9

"""Training as nodes: a run of segments, each from one state to the next, and what comes out of the last."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from math import isfinite
from typing import Annotated, NamedTuple

from pydantic import Field

from engine.diffusion.training.crew import Work, open_crew
from engine.diffusion.training.curve import draw_curve, table
from engine.diffusion.training.kept_files import training_of
from engine.diffusion.training.learned_word import embedding_of
from engine.diffusion.training.length import in_steps
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.recipe import Recipe, Word, recipe_of, word_recipe
from engine.diffusion.training.result import curve_of, lora_of
from engine.diffusion.training.segment import Progress, train
from engine.diffusion.training.trainer import Trainer
from engine.errors import InvalidInput
from engine.graph import Blocked, Context, Expand, Link, Node, Shown, Widget, node
from engine.values.dataset import TrainingSet
from engine.values.embedding import Embedding
from engine.values.image import Image
from engine.values.lora import Lora
from engine.values.model import Clip, Model, Vae
from engine.values.pictures import from_pillow
from engine.values.training import Adapter, FilePlan, LossCurve, Objective, Optimizer, Plan, SamplePlan, Steps, TrainingState
from nodes.image import Prefix, write_images
from nodes.lora import NONE, LoraOrNone, chosen_lora
from nodes.training_graph import add_files, ends, lora_on, sampled, segments

TOLD_SECONDS = 0.1


class Trained(NamedTuple):
    lora: Lora
    curve: LossCurve
    state: TrainingState
    samples: Image


class LearnedWordTrained(NamedTuple):
    embedding: Embedding
    curve: LossCurve
    state: TrainingState


class WordOutcome(NamedTuple):
    embedding: Embedding
    curve: LossCurve


class Outcome(NamedTuple):
    lora: Lora
    curve: LossCurve


@node("TrainLoRA", category="training", display_name="Train LoRA", grad=True)
def train_lora(
    model: Model,
    data: TrainingSet,
    adapter: Adapter,
    objective: Objective,
    optimizer: Optimizer,
    plan: Plan,
    clip: Clip | None = None,
    start: LoraOrNone = NONE,
    state: TrainingState | None = None,
    vae: Vae | None = None,
    samples: SamplePlan | None = None,
    files: FilePlan | None = None,
) -> Trained | Expand:
    """Train an adapter on pictures. The result is a value that the next node uses; saving it is another node's work.

    The training is cut into segments that the cache keeps: a longer plan with the same horizon of the optimizer goes on where a
    shorter one ended, and one that was stopped goes on at the step where it was.

    Args:
        model: the model that is taught; it stays as it is.
        data: the prepared pictures.
        clip: the text encoder, where it is trained or the captions are not encoded yet.
        start: weights to begin with, of an adapter of the same kind on the same modules, a LoRA's ranks may be smaller: a safetensors
            file of the folder models/loras, or a link from a node that gives a LoRA. The optimizer begins anew.
        state: where an earlier training ended, to be continued with the same settings.
        vae: for the samples only.
        samples: what to draw with the adapter after each segment.
        files: where to write the adapter after each segment.

    Returns:
        lora: the trained adapter.
        curve: the loss of every step.
        state: what a continuation needs.
        samples: the last pictures drawn with it, on one sheet; nothing without `samples`.
    """
    plan = in_steps(plan, data)
    recipe = recipe_of(adapter, objective, optimizer, plan)
    if state is not None and start != NONE:
        raise InvalidInput(
            "A training continues from a state or starts from an adapter, not both.",
            hint=f"Disconnect one of them, or set start to {NONE}.",
        )
    reader = None if data.texts is not None and not adapter.text_encoder else clip
    graph, last = segments({"model": model, "clip": reader, "data": data, "start": start}, recipe, plan, state)
    told = {"data": data, "model": model, "clip": clip}
    graph.nodes["result"] = Node("result", "TrainingResult", {"state": last, **told})
    sheet: Link | Blocked = Blocked()
    if samples is not None:
        for until in ends(graph):
            sheet = sampled(graph, until, lora_on(model, clip), clip, vae, samples)
    if files is not None:
        add_files(graph, files, training_of(recipe, model, data), told)
    return Expand(graph, (Link("result", 0), Link("result", 1), last, sheet))


@node("TrainTextualInversion", category="training", display_name="Train Textual Inversion", grad=True)
def train_textual_inversion(
    model: Model,
    clip: Clip,
    data: TrainingSet,
    objective: Objective,
    optimizer: Optimizer,
    plan: Plan,
    word: Annotated[str, Field(pattern=r"^[^\s,]+$"), Widget(multiline=False)] = "sks",
    start: Annotated[str, Widget(multiline=False)] = "shape",
    vectors: Annotated[int, Field(ge=1, le=64)] = 1,
    state: TrainingState | None = None,
) -> LearnedWordTrained | Expand:
    """Teach the text encoder one new word from pictures; all networks stay as they are. Prompts call it as `embedding:word`.

    Args:
        data: prepared pictures whose captions hold the word; their captions must not be encoded yet.
        optimizer: its rate is the word's, usually some 5e-3.
        word: what captions hold and prompts will call.
        start: words that mean something near; the vectors begin as theirs.
        vectors: how many places the word takes in a prompt.
        state: where an earlier training of it ended, to be continued with the same settings.

    Returns:
        embedding: the learned word.
        curve: the loss of every step.
        state: what a continuation needs.
    """
    plan = in_steps(plan, data)
    recipe = word_recipe(Word(name=word, start=start, vectors=vectors), objective, optimizer, plan)
    graph, last = segments({"model": model, "clip": clip, "data": data}, recipe, plan, state)
    graph.nodes["result"] = Node("result", "LearnedWordResult", {"state": last, "clip": clip})
    return Expand(graph, (Link("result", 0), Link("result", 1), last))


@node("TrainSegment", category="training/parts", lane="device", grad=True)
def train_segment(
    ctx: Context,
    model: Model,
    data: TrainingSet,
    recipe: Annotated[str, Widget(multiline=True)],
    until: Steps,
    clip: Clip | None = None,
    start: LoraOrNone = NONE,
    state: TrainingState | None = None,
) -> TrainingState:
    """Train up to a step: a part of Train LoRA.

    When it is stopped, its state is kept, and it goes on from there when it runs again.

    Args:
        recipe: the settings, as JSON.
        until: the step to train up to.
        state: where it begins; without one at step 0.
    """
    settings = Recipe.model_validate_json(recipe)
    first = state.step if state is not None else 0
    begun = None if start == NONE else chosen_lora(ctx, start)
    with _trainer(ctx, Work(model, clip, data, settings), begun) as trainer:
        if state is not None:
            trainer.load(state)
        return train(trainer, until, ctx.checkpoint, tell=_Teller(ctx, first), check=ctx.check_cancelled)


def _trainer(ctx: Context, work: Work, start: Lora | None) -> AbstractContextManager[Trainer]:
    if work.recipe.processes > 1:
        return open_crew(ctx.memory, work, start, ctx.warn)
    return open_trainer(ctx.memory, work.model, work.clip, work.data, work.recipe, start, notice=ctx.warn)


class _Teller:
    """Tells of steps: progress for every one, figures ten times a second."""

    def __init__(self, ctx: Context, first: int) -> None:
        self._ctx = ctx
        self._first = first
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        step = progress.step
        now = time.monotonic()
        if now - self._told > TOLD_SECONDS or step.validation is not None or step.number == progress.until:
            self._told = now
            gradient = step.gradient if isfinite(step.gradient) else None  # with a loss scale that is still being found
            self._ctx.emit(
                "training",
                {
                    "step": step.number, "until": progress.until, "loss": step.loss, "rate": step.rate, "gradient": gradient,
                    "validation": step.validation, "prior": step.prior, "images_per_second": progress.images_per_second,
                    "seconds_left": progress.seconds_left, "memory": progress.memory,
                },
            )  # fmt: skip
        self._ctx.progress(step.number - self._first, progress.until - self._first)


@node("TrainingResult", category="training/parts", cache="never_store")
def training_result(state: TrainingState, data: TrainingSet | None = None, model: Model | None = None, clip: Clip | None = None) -> Outcome:
    """The adapter and the loss curve of a state of training.

    Args:
        data, model, clip: what it was trained with, for the adapter to say so in its file.

    Returns:
        lora: the adapter as it is at this step; the averaged weights where the training averages.
        curve: the loss of every step so far.
    """
    return Outcome(lora_of(state, data, model, clip), curve_of(state))


@node("LearnedWordResult", category="training/parts", cache="never_store")
def learned_word_result(state: TrainingState, clip: Clip) -> WordOutcome:
    """The word and the loss curve of a state of textual inversion."""
    return WordOutcome(embedding_of(state, clip), curve_of(state))


class Graphed(NamedTuple):
    image: Image
    data: str


@node("LossGraph", category="training", display_name="Loss Graph")
def loss_graph(
    loss: LossCurve, width: Annotated[int, Field(ge=200, le=4096)] = 900, height: Annotated[int, Field(ge=150, le=4096)] = 500
) -> Graphed:
    """Draw the loss of a training over its steps.

    Returns:
        image: the curve: each step, the running mean, that of the regularisation pictures, and the loss at fixed timesteps.
        data: a line of step, loss, learning rate, fixed loss and loss of the regularisation pictures for each step, as CSV.
    """
    return Graphed(from_pillow(draw_curve(loss, width, height)), table(loss))


@node("LossGraphNode", category="training", display_name="Plot Loss Graph", output_node=True, lane="io")
def plot_loss_graph(ctx: Context, loss: LossCurve, filename_prefix: Prefix = "loss_graph") -> Shown:
    """Show the loss of a training over its steps, as ComfyUI's node of this name does: a temporary picture."""
    return write_images(ctx, from_pillow(draw_curve(loss)), "temp", filename_prefix, compress_level=1)

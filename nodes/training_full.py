"""Full fine-tuning: every weight of the networks is trained, and the result is a model."""

from __future__ import annotations

from typing import NamedTuple

from engine.diffusion.training.length import in_steps
from engine.diffusion.training.recipe import whole_recipe
from engine.diffusion.training.result import curve_of
from engine.diffusion.training.whole import trained_weights
from engine.graph import Blocked, Expand, Link, Node, node
from engine.values.dataset import TrainingSet
from engine.values.image import Image
from engine.values.model import Clip, Model, Vae
from engine.values.training import LossCurve, Objective, Optimizer, Plan, SamplePlan, TrainingState
from nodes.training_graph import Add, ends, sampled, segments


class FullyTrained(NamedTuple):
    model: Model
    clip: Clip
    curve: LossCurve
    state: TrainingState
    samples: Image


@node("TrainFull", category="training", display_name="Train Full Model", grad=True)
def train_full(
    model: Model,
    data: TrainingSet,
    objective: Objective,
    optimizer: Optimizer,
    plan: Plan,
    clip: Clip | None = None,
    unet: bool = True,
    text_encoder: bool = False,
    state: TrainingState | None = None,
    vae: Vae | None = None,
    samples: SamplePlan | None = None,
) -> FullyTrained | Expand:
    """Train every weight of a model on pictures (full fine-tuning). The result is a model; Save Checkpoint writes it into a file.

    It is trained in float32, from the model with the LoRAs that are on it, in segments as Train LoRA does. Each kept state holds the
    weights three times.

    Args:
        model: the model that is taught; it stays as it is.
        data: the prepared pictures.
        optimizer: its rate is usually between 1e-6 and 1e-5; `rates` may leave modules as they are (`time_embed = 0`).
        clip: the text encoder, where it is trained or the captions are not encoded yet.
        unet, text_encoder: what is trained; the text encoder at the optimizer's text_rate.
        state: where an earlier training ended, to be continued with the same settings.
        vae: for the samples only.
        samples: what to draw with the model after each segment.

    Returns:
        model: the trained model; the averaged weights where the training averages.
        clip: the text encoder, trained or as it was.
        curve: the loss of every step.
        state: what a continuation needs.
        samples: the last pictures drawn with it, on one sheet; nothing without `samples`.
    """
    plan = in_steps(plan, data)
    recipe = whole_recipe(unet, text_encoder, objective, optimizer, plan)
    reader = None if data.texts is not None and not text_encoder else clip
    graph, last = segments({"model": model, "clip": reader, "data": data}, recipe, plan, state)

    def taught(add: Add, at: Link) -> tuple[Link | Model | None, Link | Clip | None]:
        own = Link(add("model", "TrainedModel", state=at, model=model), 0) if unet else model
        return own, Link(add("text encoder", "TrainedTextEncoder", state=at, clip=clip), 0) if text_encoder else clip

    sheet: Link | Blocked = Blocked()
    if samples is not None:
        for until in ends(graph):
            sheet = sampled(graph, until, taught, clip, vae, samples)

    def add(name: str, kind: str, **inputs: object) -> str:
        graph.nodes[f"result {name}"] = Node(f"result {name}", kind, inputs)
        return f"result {name}"

    own, encoder = taught(add, last)
    curve = Link(add("curve", "TrainingCurve", state=last), 0)
    return Expand(graph, (own, Blocked() if encoder is None else encoder, curve, last, sheet))


@node("TrainedModel", category="training/parts", cache="never_store")
def trained_model(state: TrainingState, model: Model) -> Model:
    """The model with the weights that a full training has come to.

    model: the one that was trained.
    """
    return model.with_patches(trained_weights(state, model))


@node("TrainedTextEncoder", category="training/parts", cache="never_store")
def trained_text_encoder(state: TrainingState, clip: Clip) -> Clip:
    """The text encoder with the weights that a full training has come to.

    clip: the one that was trained.
    """
    return clip.with_patches(trained_weights(state, clip))


@node("TrainingCurve", category="training/parts", cache="never_store")
def training_curve(state: TrainingState) -> LossCurve:
    """The loss of every step up to a state of a training."""
    return curve_of(state)

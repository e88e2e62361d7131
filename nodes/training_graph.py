"""The graphs that training nodes expand to: segments in a row, and what hangs on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.sample_prompts import sample_prompts
from engine.errors import InvalidInput
from engine.graph import Graph, Link, Node
from engine.values.model import Clip, Model, Vae
from engine.values.training import FilePlan, Plan, SamplePlan, TrainingState

Add = Callable[..., str]
"""Adds a node of a step to a graph: its name, its class, its inputs; the id that it has."""
Taught = Callable[[Add, Link], tuple[Link | Model | None, Link | Clip | None]]
"""Adds what makes a model and a text encoder of a training's state."""


def segments(inputs: Mapping[str, Any], recipe: Recipe, plan: Plan, state: TrainingState | None) -> tuple[Graph, Link]:
    """One segment after the other up to the plan's end, each up to a multiple of save_every; the link to the last state."""
    first = state.step if state is not None else 0
    if first >= plan.steps:
        raise InvalidInput(f"The state has {first} steps already, the plan has {plan.steps}.", hint="Plan more steps.")
    graph, name = Graph(), ""
    before: TrainingState | Link | None = state
    for until in [*range(first - first % plan.save_every + plan.save_every, plan.steps, plan.save_every), plan.steps]:
        name = f"step {until}"
        own = {**inputs, "state": before, "recipe": recipe.model_dump_json(), "until": until}
        graph.nodes[name] = Node(name, "TrainSegment", own)
        before = Link(name, 0)
    return graph, Link(name, 0)


def ends(graph: Graph) -> list[int]:
    """The steps at which segments end."""
    return [part.inputs["until"] for part in graph.nodes.values() if part.type == "TrainSegment"]


def add_files(graph: Graph, files: FilePlan, training: str, told: Mapping[str, Any]) -> None:
    """Add the writing of the adapter after each segment. told: what its file tells of."""
    before = 0
    for until in ends(graph):
        trained = f"filed {until}"
        graph.nodes[trained] = Node(trained, "TrainingResult", {"state": Link(f"step {until}", 0), **told})
        settings = {"step": until, "training": training, **files.model_dump(exclude={"tensorboard"})}
        graph.nodes[f"file {until}"] = Node(f"file {until}", "SaveTrainingFile", {"lora": Link(trained, 0), **settings})
        if files.tensorboard:
            logged = {"loss": Link(trained, 1), "name": files.name, "first": before}
            graph.nodes[f"log {until}"] = Node(f"log {until}", "TensorBoardLog", logged)
        before = until


def lora_on(model: Model, clip: Clip | None) -> Taught:
    """Both with the adapter of a state on them."""

    def taught(add: Add, state: Link) -> tuple[Link, Link]:
        lora = add("lora", "TrainingResult", state=state)
        patched = add("patched", "LoraLoader", model=model, clip=clip, lora_name=Link(lora, 0), strength_model=1.0, strength_clip=1.0)
        return Link(patched, 0), Link(patched, 1)

    return taught


def sampled(graph: Graph, until: int, taught: Taught, clip: Clip | None, vae: Vae | None, plan: SamplePlan) -> Link:
    """Add the drawing of samples with what is trained as it is at a step; the link to their sheet."""
    prompts = list(sample_prompts(plan))
    if clip is None or vae is None or not prompts:
        raise InvalidInput(
            "Samples need a text encoder, a VAE and at least one prompt.", hint="Connect `clip` and `vae`, write a prompt a line."
        )

    def add(name: str, kind: str, **inputs: Any) -> str:
        graph.nodes[f"{name} {until}"] = Node(f"{name} {until}", kind, inputs)
        return f"{name} {until}"

    model, encoder = taught(add, Link(f"step {until}", 0))
    pictures = {}
    for number, (prompt, own) in enumerate(prompts):
        positive = add(f"prompt {number}", "CLIPEncode", text=prompt, clip=encoder)
        negative = add(f"negative {number}", "CLIPEncode", text=own.negative, clip=encoder)
        latent = add(f"latent {number}", "EmptyLatent", width=own.width, height=own.height, batch_size=1)
        settings = {"steps": own.steps, "cfg": own.cfg, "sampler_name": own.sampler_name, "scheduler": own.scheduler, "denoise": 1.0}
        drawn = add(
            f"sample {number}", "KSampler", model=model, positive=Link(positive, 0), negative=Link(negative, 0),
            latent_image=Link(latent, 0), seed=own.seed, **settings,
        )  # fmt: skip
        pictures[f"images{number}"] = Link(add(f"picture {number}", "VAEDecode", samples=Link(drawn, 0), vae=vae), 0)
    labels = {"column_labels": "\n".join(prompt for prompt, _ in prompts), "row_labels": f"step {until}"}
    sheet = add("sheet", "LabelledSheet", columns=len(prompts), **labels, **pictures)
    add("save", "SaveImage", images=Link(sheet, 0), filename_prefix=f"{plan.filename_prefix}-step{until:06}")
    return Link(sheet, 0)

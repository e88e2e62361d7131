"""ComfyUI's training node, on this trainer."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine.diffusion.training.entry_cache import EntryCache
from engine.diffusion.training.given_set import given_set
from engine.graph import Choice, Context, Expand, Graph, Link, Node, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.latent import Latent
from engine.values.lora import Lora
from engine.values.model import Model
from engine.values.training import Adapter, AdapterKind, LossCurve, LossName, Objective, Optimizer, Plan
from nodes.lora import NONE

LOSSES: dict[str, LossName] = {"MSE": "l2", "L1": "l1", "Huber": "huber", "SmoothL1": "smooth_l1"}
KINDS: dict[str, AdapterKind] = {"LoRA": "lora", "LoHa": "loha", "LoKr": "lokr", "OFT": "oft"}
DEFAULT_ALPHA = Adapter.model_fields["alpha"].default
Format = Literal["bf16", "fp32"]


class Trained(NamedTuple):
    model_with_lora: Model
    lora: Lora
    loss: LossCurve
    steps: int


@node("TrainLoraNode", category="training", display_name="Train LoRA (ComfyUI)", experimental=True, grad=True)
def train_lora_node(
    ctx: Context,
    model: Model,
    latents: Latent,
    positive: Conditioning,
    batch_size: Annotated[int, Field(ge=1, le=10_000), Widget(step=1)] = 1,
    grad_accumulation_steps: Annotated[int, Field(ge=1, le=1024), Widget(step=1)] = 1,
    steps: Annotated[int, Field(ge=1, le=100_000)] = 16,
    learning_rate: Annotated[float, Field(ge=0.0000001, le=1.0), Widget(step=0.000001)] = 0.0005,
    rank: Annotated[int, Field(ge=1, le=128)] = 8,
    optimizer: Literal["AdamW", "Adam", "SGD", "RMSprop"] = "AdamW",
    loss_function: Literal["MSE", "L1", "Huber", "SmoothL1"] = "MSE",
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] = 0,
    training_dtype: Format = "bf16",
    lora_dtype: Format = "bf16",
    algorithm: Literal["LoRA", "LoHa", "LoKr", "OFT"] = "LoRA",
    gradient_checkpointing: bool = True,
    existing_lora: Annotated[str, Choice("loras", extra=(NONE,))] = NONE,
) -> Trained | Expand:
    """Train an adapter on latents and an encoded prompt, with the inputs of ComfyUI's node.

    It is trained as Train LoRA does: on the model's own target at uniform timesteps, with a constant rate and alpha 1, on transformers
    and convolutions. Train LoRA does all this and more from pictures and captions.

    positive: one prompt for all latents, or one for each.
    training_dtype, lora_dtype: have no effect; `--precision` decides what the network computes in, the adapter is kept in float32.
    existing_lora: an adapter of the same kind and rank to start from.
    """
    batch = min(batch_size, len(latents.samples))
    data = given_set(latents, positive, EntryCache(ctx.folders.state / "training_cache"), model.weights.family)
    inputs = {
        "model": model,
        "data": data,
        "adapter": Adapter(kind=KINDS[algorithm], rank=rank, conv_rank=rank, alpha=DEFAULT_ALPHA if algorithm == "OFT" else 1.0),
        "objective": Objective(loss=LOSSES[loss_function]),
        "optimizer": Optimizer(name=optimizer, rate=learning_rate, schedule="constant", warmup=0),
        "plan": Plan(
            steps=steps, save_every=steps, batch_size=batch, accumulation=grad_accumulation_steps, seed=seed,
            checkpointing=gradient_checkpointing,
        ),
        "start": existing_lora,
    }  # fmt: skip
    graph = Graph({"train": Node("train", "TrainLoRA", inputs)})
    graph.nodes["model"] = Node("model", "LoraModelLoader", {"model": model, "lora": Link("train", 0), "strength_model": 1.0})
    return Expand(graph, (Link("model", 0), Link("train", 0), Link("train", 1), steps))

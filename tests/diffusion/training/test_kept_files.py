"""What tells a training from others, so that its older files are known as its own."""

from __future__ import annotations

import torch

from engine.diffusion.adapters.lora import apply_lora
from engine.diffusion.training.kept_files import training_of
from engine.diffusion.training.whole import trained_weights
from engine.values.lora import Lora, LoraCodec
from engine.values.training import Adapter, TrainingState
from tests.diffusion.training.recipes import recipe

PLACE = "lora_unet_mid_block_attentions_0_proj_in"


def test_a_training_on_a_lora_of_the_same_graph_is_the_same_after_a_restart(checkpoint, pictures):
    def training(lora: Lora, strength: float = 1.0) -> str:
        return training_of(recipe(), apply_lora(checkpoint.model, None, lora, strength, strength).model, pictures)

    width = checkpoint.model.weights.arguments["block_out_channels"][-1]
    tensors = {f"{PLACE}.lora_up.weight": torch.ones(width, 1, 1, 1), f"{PLACE}.lora_down.weight": torch.ones(1, width, 1, 1)}
    lora = Lora(tensors)
    stored = LoraCodec().decode(*LoraCodec().encode(lora))
    assert training(lora) == training(stored)
    changed = Lora({**tensors, f"{PLACE}.lora_up.weight": torch.full((width, 1, 1, 1), 1.001)})
    assert len({training(lora), training(changed), training(lora, 0.5)}) == 3


def test_a_model_that_was_trained_is_known_by_its_training(checkpoint, run):
    """By its losses: nobody needs to read every weight of it."""

    def key(seed: int):
        state = run(recipe(Adapter(rank=2), seed=seed), 1)
        whole = {f"adapter.unet.{name}": tensor for name, tensor in state.part("adapter").items()}
        return trained_weights(TrainingState(whole, state.record), checkpoint.model).key

    assert key(0) == key(0) != key(1)

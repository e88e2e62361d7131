"""A training from values: the networks on the device, the objective for their kind, the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from engine.diffusion.memory import Memory
from engine.diffusion.model_options import latent_format, prediction
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.learned_word import LearnedWord
from engine.diffusion.training.networks import AdaptedNetwork, shared_copy, start_from
from engine.diffusion.training.objectives import task
from engine.diffusion.training.ranks import ALONE, Ranks
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.streams import stream_seed
from engine.diffusion.training.text_reader import TextReader
from engine.diffusion.training.trainer import Networks, Trainer
from engine.errors import InvalidInput
from engine.values.dataset import TrainingSet
from engine.values.lora import Lora
from engine.values.model import Clip, Model


@contextmanager
def open_trainer(
    memory: Memory, model: Model, clip: Clip | None, data: TrainingSet, recipe: Recipe, start: Lora | None = None, ranks: Ranks = ALONE
) -> Iterator[Trainer]:
    """A trainer at step 0, with the networks loaded for as long as the block runs.

    clip: needed where the data has no encoded captions, or the text encoder is trained. start: weights that the adapter begins with.
    Raises InvalidInput for what cannot be trained so.
    """
    adapter = recipe.adapter
    check_trainable(model)
    objective = task(recipe.objective, prediction(model))
    trains_text, encoded = adapter.text_encoder, data.texts is not None
    batches = Batches(data, batch_size=recipe.batch_size * ranks.count, seed=recipe.seed)
    if trains_text and clip is None:
        raise InvalidInput("The text encoder is to be trained and none is given.", hint="Connect `clip`.")
    if trains_text and encoded:
        raise InvalidInput(
            "The captions are encoded already, so training the text encoder would have no effect.", hint="Cache latents only."
        )
    if clip is None and not encoded:
        raise InvalidInput("The captions are not encoded and there is no text encoder.", hint="Connect `clip`, or cache the captions.")
    with ExitStack() as stack:
        adapted: dict[str, AdaptedNetwork | LearnedWord] = {}
        unet = stack.enter_context(memory.unet(model))
        if adapter.unet:
            adapted["unet"] = AdaptedNetwork(unet, model.weights, adapter, stream_seed(recipe.seed, "unet"))
        module = adapted["unet"].module if adapter.unet else shared_copy(unet, model.weights)
        reader, word = None, None
        if clip is not None and not encoded:
            encoder = stack.enter_context(memory.text_encoder(clip))
            if recipe.word is not None:
                word = adapted["text_encoder"] = LearnedWord(encoder, clip, recipe.word, data)
                encoder = word.module
            elif trains_text:
                adapted["text_encoder"] = AdaptedNetwork(encoder, clip.weights, adapter, stream_seed(recipe.seed, "text_encoder"))
                encoder = adapted["text_encoder"].module
            reader = TextReader(encoder, clip, memory.numerics.device, word)
        if recipe.checkpointing:
            _checkpoint(module, adapted)
        for network in adapted.values():
            if start is not None and isinstance(network, AdaptedNetwork):
                start_from(network, start)
        yield Trainer(Networks(module, reader, adapted), objective, batches, recipe, memory.numerics, ranks)


def check_trainable(model: Model) -> None:
    """Raise InvalidInput for a model that reads more than a latent and a text."""
    channels, own = model.weights.arguments["in_channels"], latent_format(model).channels
    if channels != own:
        raise InvalidInput(
            f"This network reads {channels} channels where a latent has {own}: an inpainting or depth model.", hint="Train the plain model."
        )


def _checkpoint(unet: Any, adapted: dict[str, AdaptedNetwork | LearnedWord]) -> None:
    """Compute activations again in the backward pass instead of keeping them."""
    unet.enable_gradient_checkpointing()
    if "text_encoder" in adapted:
        adapted["text_encoder"].module.gradient_checkpointing_enable()

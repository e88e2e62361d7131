"""A training from values: the networks on the device, the objective for their kind, the recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from engine.diffusion.families import KINDS
from engine.diffusion.memory import Memory
from engine.diffusion.model_options import latent_format, prediction
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.frozen import frozen_network
from engine.diffusion.training.learned_word import LearnedWord
from engine.diffusion.training.networks import AdaptedNetwork, Trained, shared_copy
from engine.diffusion.training.objectives import task
from engine.diffusion.training.ranks import ALONE, Ranks
from engine.diffusion.training.recipe import Recipe
from engine.diffusion.training.rules import Rules
from engine.diffusion.training.starting import start_from
from engine.diffusion.training.streams import stream_seed
from engine.diffusion.training.text_reader import TextReader
from engine.diffusion.training.trainer import Networks, Trainer
from engine.diffusion.training.whole import WholeNetwork
from engine.errors import InvalidInput
from engine.values.dataset import TrainingSet
from engine.values.lora import Lora
from engine.values.model import Clip, Model
from engine.values.training import Objective

log = logging.getLogger("easel.training")


@contextmanager
def open_trainer(
    memory: Memory,
    model: Model,
    clip: Clip | None,
    data: TrainingSet,
    recipe: Recipe,
    start: Lora | None = None,
    ranks: Ranks = ALONE,
    notice: Callable[[str, str], None] = lambda text, hint: log.warning("%s %s", text, hint),
) -> Iterator[Trainer]:
    """A trainer at step 0, with the networks loaded for as long as the block runs.

    clip: needed where the data has no encoded captions, or the text encoder is trained. start: weights that the adapter begins with.
    notice(text, hint): told what is done otherwise than asked. Raises InvalidInput for what cannot be trained so.
    """
    adapter = recipe.adapter
    check_trainable(model)
    _check_latents(model, data)
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
    if not recipe.validate_every and (kept := sum(example.held_out for example in data.dataset.examples)):
        raise InvalidInput(f"{kept} pictures are held out, and the loss on them is never measured.", hint="Set validate_every in the plan.")
    if recipe.objective.preserve_class:
        _check_preserved(data, recipe)
    _check_masks(data, recipe.objective)
    if recipe.swap and memory.numerics.device.type != "cuda":
        raise InvalidInput(
            f"swap = {recipe.swap:g} has no effect on {memory.numerics.device}, whose memory is the main memory.", hint="Set swap to 0."
        )
    if recipe.whole or recipe.fp8_base or recipe.swap:
        memory.free()
    with ExitStack() as stack:
        adapted: dict[str, Trained] = {}
        rules = Rules(adapter.ranks, "ranks", whole=True)
        base: Any = None
        if not (adapter.unet and recipe.whole) or recipe.objective.preserve_class:
            if recipe.fp8_base or recipe.swap:
                dtype, device = memory.network_dtype(model), memory.numerics.device
                base = frozen_network(model, dtype, device, fp8=recipe.fp8_base, swap=recipe.swap)
            else:
                base = stack.enter_context(memory.unet(model))
        if adapter.unet and recipe.whole:
            adapted["unet"] = WholeNetwork(model, memory.numerics.device)
        elif adapter.unet:
            adapted["unet"] = AdaptedNetwork(base, model.weights, adapter, rules, stream_seed(recipe.seed, "unet"))
        module = adapted["unet"].module if adapter.unet else shared_copy(base)
        reader = None
        if clip is not None and not encoded:
            encoder = stack.enter_context(memory.text_encoder(clip))
            trained = _trained_encoder(encoder, clip, data, recipe, rules, memory) if trains_text else None
            if trained is not None:
                adapted["text_encoder"] = trained
                encoder = trained.module
            reader = TextReader(encoder, clip, memory.numerics.device, trained if isinstance(trained, LearnedWord) else None)
        rules.check_used()
        if start is not None:
            start_from([network for network in adapted.values() if isinstance(network, AdaptedNetwork)], start)
        preserved = base if recipe.objective.preserve_class else None
        networks = Networks(KINDS[model.weights.family], module, reader, adapted, preserved)
        yield Trainer(networks, objective, batches, recipe, memory, ranks, notice)


def _trained_encoder(encoder: Any, clip: Clip, data: TrainingSet, recipe: Recipe, rules: Rules, memory: Memory) -> Trained:
    """What is trained of the text encoder. encoder: as the memory manager has it."""
    if recipe.word is not None:
        return LearnedWord(encoder, clip, recipe.word, data)
    if recipe.whole:
        return WholeNetwork(clip, memory.numerics.device)
    return AdaptedNetwork(encoder, clip.weights, recipe.adapter, rules, stream_seed(recipe.seed, "text_encoder"))


def check_trainable(model: Model) -> None:
    """Raise InvalidInput for a model that reads more than a latent and a text."""
    patch = KINDS[model.weights.family].patch
    channels, own = model.weights.arguments["in_channels"] // patch**2, latent_format(model).channels
    if channels != own:
        raise InvalidInput(
            f"This network reads {channels} channels where a latent has {own}: an inpainting or depth model.", hint="Train the plain model."
        )


def _check_preserved(data: TrainingSet, recipe: Recipe) -> None:
    """Raise InvalidInput where preserve_class would have no effect."""
    if not any(example.regularisation for example in data.dataset.examples):
        raise InvalidInput(
            "preserve_class has no effect: the dataset has no regularisation pictures.", hint="Add some, such as by MakeRegularisation."
        )
    if not recipe.adapter.unet:
        raise InvalidInput("preserve_class has no effect: the diffusion network is not trained.", hint="Switch preserve_class off.")


def _check_masks(data: TrainingSet, objective: Objective) -> None:
    """Raise InvalidInput for settings of masks where there is none."""
    if any(example.mask for example in data.dataset.examples):
        return
    for name in ("mask_scale", "unmasked_weight"):
        value, default = getattr(objective, name), Objective.model_fields[name].default
        if value != default:
            raise InvalidInput(f"{name} = {value} has no effect: no picture has a mask.", hint=f"Leave it at {default}, or give masks.")


def _check_latents(model: Model, data: TrainingSet) -> None:
    """Raise InvalidInput for pictures that were encoded for a network of another latent space."""
    own, given = latent_format(model), KINDS[data.family].latent_format
    if own != given:
        raise InvalidInput(
            f"The pictures were encoded by a VAE of {KINDS[data.family].title}, whose latents this model does not read.",
            hint="Connect the VAE that belongs to the model to Cache Dataset.",
        )

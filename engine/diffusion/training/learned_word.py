"""Textual inversion (Gal et al. 2022): the vectors of one new word are all that is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from engine.diffusion.families import FAMILIES
from engine.diffusion.text.chunks import CALL
from engine.diffusion.text.tokenizer import token_ids
from engine.diffusion.training import captions
from engine.diffusion.training.networks import Slot, shared_copy
from engine.diffusion.training.recipe import Word
from engine.errors import InvalidInput
from engine.values.dataset import TrainingSet
from engine.values.embedding import Embedding
from engine.values.model import Clip
from engine.values.training import TrainingState

FILE_NAME = "emb_params"


class LearnedWord:
    """A text encoder with a word that is trained. module: called like the encoder itself. slots: the vectors."""

    def __init__(self, loaded: nn.Module, clip: Clip, word: Word, data: TrainingSet) -> None:
        """loaded: the encoder as the memory manager has it. Raises InvalidInput for a start that is empty, and for captions without it."""
        ids = token_ids(word.start)
        if not ids:
            raise InvalidInput(
                "The word has nothing to start from: `start` is empty.", hint="Write a word that means something near, such as red."
            )
        if not any(captions.holds(line, word.name) for example in data.dataset.examples for line in example.captions):
            raise InvalidInput(
                f"No caption holds the word {word.name!r}.", hint="Set the dataset's trigger to it, or write it into the captions."
            )
        self.word = word
        self.module = shared_copy(loaded).train()
        table = self.module.embeddings.token_embedding.weight
        rows = [ids[number % len(ids)] for number in range(word.vectors)]
        self.vectors = nn.Parameter(table[rows].detach().float().clone())
        self.slots = {FILE_NAME: Slot(self.vectors, "embeddings.token_embedding", FILE_NAME, tuple(self.vectors.shape))}

    def find(self, name: str) -> Sequence[Tensor] | None:
        return tuple(self.vectors) if name == self.word.name else None

    def called(self, caption: str) -> str:
        """A caption as a prompt in which the word is called where it stands."""
        return captions.replaced(caption, self.word.name, f" {CALL}{self.word.name} ").strip()

    def parameters(self) -> list[nn.Parameter]:
        return [self.vectors]

    def tensors(self) -> dict[str, Tensor]:
        return self.stored({FILE_NAME: self.vectors})

    def stored(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {FILE_NAME: values[FILE_NAME].detach().float().cpu().clone()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Raises InvalidInput, naming `source`, for other vectors than this word's."""
        value = tensors.get(FILE_NAME)
        if value is None or value.shape != self.vectors.shape:
            shape = "none" if value is None else list(value.shape)
            raise InvalidInput(f"{source} has vectors of shape {shape}, this word {list(self.vectors.shape)}.", hint="Set the same number.")
        if not value.is_floating_point() or not value.isfinite().all():
            raise InvalidInput(f"{source}: {FILE_NAME} holds numbers that are not finite.", hint="The file is damaged.")
        self.vectors.copy_(value)


def embedding_of(state: TrainingState, clip: Clip) -> Embedding:
    """The word of a state, for the text encoder that it was trained on."""
    vectors = (state.part("average") or state.part("adapter"))[FILE_NAME]
    word = state.record["recipe"]["word"]
    metadata = {"ss_steps": str(state.step), "ss_seed": str(state.record["recipe"]["seed"]), "ss_init_word": word["start"]}
    return Embedding(word["name"], {FAMILIES[clip.weights.family].text.name: vectors}, metadata)

"""Class pictures for prior preservation (Ruiz et al. 2022, DreamBooth): drawn by the base model itself, with the subject's captions in
which the class stands for the trigger, so that the class stays what it was."""

from __future__ import annotations

from typing import NamedTuple

from engine.diffusion.training.captions import holds, replaced
from engine.errors import InvalidInput
from engine.values.dataset import Dataset, bucket_of

MOST = 10_000
PER_BATCH = 4


class ClassPictures(NamedTuple):
    """`copies` pictures of one prompt and size, drawn together."""

    prompt: str
    width: int
    height: int
    copies: int


def missing(dataset: Dataset, class_words: str, count: int) -> list[ClassPictures]:
    """What has to be drawn so that the dataset has `count` regularisation pictures; 0: one for each picture of the subject.

    class_words: what stands for the trigger; several, separated by commas, take turns. Empty: the dataset's class word.
    Captions and sizes are those of the subject's pictures in turn. Raises InvalidInput if there is no class word.
    """
    subject = [example for example in dataset.examples if not example.regularisation]
    if not subject:
        raise InvalidInput("The dataset has no picture of a subject.", hint="Connect the dataset of the subject.")
    words = [word for part in (class_words or dataset.class_word).split(",") if (word := part.strip())]
    if not words:
        raise InvalidInput("There is no class word to draw pictures of.", hint="Say what the subject is one of: class_words, such as dog.")
    if dataset.trigger and not any(holds(line, dataset.trigger) for example in subject for line in example.captions):
        raise InvalidInput(f"No caption holds the trigger {dataset.trigger!r}.", hint="Correct the trigger, or edit the captions.")
    wanted = (count or len(subject)) - (len(dataset.examples) - len(subject))
    groups: dict[tuple[str, int, int], int] = {}
    for number in range(wanted):
        turn, place = divmod(number, len(subject))
        example = subject[place]
        word = words[(place + turn) % len(words)]  # another one for each caption in each turn
        prompt = replaced(example.captions[0], dataset.trigger, word) if dataset.trigger else word
        key = (prompt, *bucket_of(example).size)
        groups[key] = groups.get(key, 0) + 1
    return [ClassPictures(*key, min(PER_BATCH, total - start)) for key, total in groups.items() for start in range(0, total, PER_BATCH)]

"""Captions of scenes, word by word with what each word says.

In every wording the role of a word (whose colour it is, say) follows from the words before it, because the text
encoder looks backwards only. So each word can carry its own meaning and nothing of its neighbours', which is what
makes prompt weights such as `(red:0)` act on that word alone.
"""

from __future__ import annotations

import random

from tools.tiny_shapes.pictures import COLOURS, POSITIONS, SHAPES, Scene, Thing

Word = tuple[str, str]  # the word, and its meaning ("colour 1 red"), empty for words without one

MEANINGS = (
    "",
    *(f"shape {i} {shape}" for i in (1, 2) for shape in SHAPES),
    *(f"colour {i} {colour}" for i in (1, 2) for colour in COLOURS),
    *(f"ground {colour}" for colour in COLOURS),
    *(f"size {size}" for size in ("small", "large")),
    *(f"position {position}" for position in POSITIONS),
    *(f"relation {relation}" for relation in ("left", "above")),
)
_POSITION_PHRASES = {
    "left": ["on the left"],
    "right": ["on the right"],
    "top": ["at the top"],
    "bottom": ["at the bottom"],
    "centre": ["in the centre", "in the center", "in the middle"],
}
_SIZE_WORDS = {"small": ["small", "small", "little"], "large": ["large", "large", "big"]}
_OPENINGS = ["", "", "", "a picture of", "a drawing of", "an image of"]
OMITTED = 0.12  # the chance that an attribute is left out of a caption


def _plain(text: str) -> list[Word]:
    return [(word, "") for word in text.split()]


def _noun(thing: Thing, number: int, size: str, rng: random.Random, article: bool, omit: float) -> list[Word]:
    words: list[Word] = []
    if size and rng.random() >= omit:
        words.append((rng.choice(_SIZE_WORDS[size]), f"size {size}"))
    if thing.colour and rng.random() >= omit:
        words.append((thing.colour, f"colour {number} {thing.colour}"))
    if rng.random() >= omit / 4:
        words.append((thing.shape, f"shape {number} {thing.shape}"))
    else:
        words.append(("shape", ""))
    if article:
        words.insert(0, ("an" if words[0][0][0] in "aeiou" else "a", ""))
    return words


def _position(scene: Scene, rng: random.Random, omit: float) -> list[Word]:
    # a picture's own middle goes without saying more often
    if not scene.position or rng.random() < (0.5 if scene.position == "centre" else omit):
        return []
    *before, last = rng.choice(_POSITION_PHRASES[scene.position]).split()
    return [*((word, "") for word in before), (last, f"position {scene.position}")]


def _ground(scene: Scene, wording: str, article: bool) -> list[Word]:
    said = (scene.ground, f"ground {scene.ground}")
    if wording == "bare":
        return [("on", ""), said]
    if wording == "comma":
        return [(",", ""), said, ("background", "")]
    if article:
        return [("on", ""), ("an" if scene.ground[0] in "aeiou" else "a", ""), said, ("background", "")]
    return [("on", ""), said, ("background", "")]


def caption_words(scene: Scene, rng: random.Random, *, omit: float = OMITTED) -> list[Word]:
    """A caption of the scene in one of several wordings, `omit` being the chance that an attribute is left out."""
    article = rng.random() < 0.85
    words = _plain(rng.choice(_OPENINGS)) if article else []
    words += _noun(scene.things[0], 1, scene.size, rng, article, omit)
    if len(scene.things) == 2:
        words += (
            [("to", ""), ("the", ""), ("left", "relation left"), ("of", "")] if scene.relation == "left" else [("above", "relation above")]
        )
        words += _noun(scene.things[1], 2, "", rng, article, omit)
    else:
        words += _position(scene, rng, omit)
    if rng.random() < omit:
        return words
    wording = rng.choices(("full", "first", "bare", "comma"), (6, 1.5, 1.5, 1))[0]
    if wording == "first":
        return [*_ground(scene, "full", article), (",", ""), *words]
    return words + _ground(scene, wording, article)


def caption_text(words: list[Word]) -> str:
    """The words as one line: a comma follows its word without a space."""
    return " ".join(word for word, _ in words).replace(" ,", ",")

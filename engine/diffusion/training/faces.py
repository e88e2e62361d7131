"""Cuts around a face, whose place is told by the picture's name as kohya's scripts have it: `name_CX_CY_W_H.png`, in pixels of the upright
picture: the face's middle and its sides."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from engine.errors import InvalidInput
from engine.values.dataset import Augmentation, Bucket, Example, FaceCrop, bucket_of

LARGEST = 1000.0
_NAMED = re.compile(r"(.+)_(\d{1,5})_(\d{1,5})_(\d{1,5})_(\d{1,5})")


class Face(NamedTuple):
    x: int
    y: int
    size: int


def without_face(stem: str) -> str | None:
    """A name without its suffix and without the face in it; None if it has none."""
    match = _NAMED.fullmatch(stem)
    return match[1] if match else None


def face_of(example: Example) -> Face | None:
    """The face that the picture's name tells of, if it lies in the picture."""
    match = _NAMED.fullmatch(PurePosixPath(example.name).stem)
    if match is None:
        return None
    x, y, width, height = (int(number) for number in match.groups()[1:])
    return Face(x, y, max(width, height)) if x < example.width and y < example.height and max(width, height) else None


def augmentation_of(*, face: str = "", **fields: Any) -> Augmentation:
    """An Augmentation; face: `smallest,largest` or nothing. Raises InvalidInput for values that contradict each other."""
    if not face.strip():
        return Augmentation(**fields)
    try:
        smallest, largest = (float(number) for number in face.split(","))
        if not 1 <= smallest <= largest <= LARGEST:
            raise ValueError
    except ValueError as error:
        raise InvalidInput(
            f"The range of cuts around a face is {face!r:.40}.",
            hint="Write how many times the face they are, such as 2.0,4.0; 1 is its size.",
        ) from error
    if fields.get("random_crop"):
        raise InvalidInput("random_crop has no effect on cuts around a face.", hint="Turn one of them off.")
    return Augmentation(**fields, face=FaceCrop(smallest, largest))


def check_faces(examples: Sequence[Example]) -> None:
    """Raise InvalidInput, naming them, for pictures that are to be cut around a face and have none in their name."""
    without = [example.name for example in examples if example.augmentation.face and face_of(example) is None]
    if without:
        shown = "; ".join(without[:20]) + (f"; and {len(without) - 20} more" if len(without) > 20 else "")
        raise InvalidInput(
            f"{len(without)} pictures are to be cut around a face, and their names tell of none: {shown}",
            hint="Name them as `name_512_300_200_220.png`: the middle of the face, its width and height, in pixels.",
        )


def around_face(example: Example, crop: FaceCrop, rng: random.Random) -> Bucket:
    """How large the picture is scaled, so that the bucket's shorter side is a drawn multiple of the face; it covers the bucket and is
    enlarged for that alone."""
    bucket, face = bucket_of(example), _face(example)
    covering = bucket.resized_width / example.width
    wanted = min(bucket.size) / (rng.uniform(crop.smallest, crop.largest) * face.size)
    scale = max(covering, min(wanted, max(1.0, covering)))
    if scale == covering:
        return bucket
    return Bucket(*bucket.size, max(bucket.width, round(example.width * scale)), max(bucket.height, round(example.height * scale)))


def place_of_face(example: Example, scaled: Bucket) -> tuple[int, int]:
    """(left, top) of the cut with the face in its middle, as far as the picture reaches."""
    face, scale = _face(example), scaled.resized_width / example.width
    left, top = round(face.x * scale - scaled.width / 2), round(face.y * scale - scaled.height / 2)
    return min(max(0, left), scaled.resized_width - scaled.width), min(max(0, top), scaled.resized_height - scaled.height)


def _face(example: Example) -> Face:
    check_faces([example])
    face = face_of(example)
    assert face is not None  # noqa: S101  (it was checked)
    return face

"""Pictures that a graph made, as a dataset: kept as PNG files under the digest of their bytes."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from engine.errors import InvalidInput
from engine.values.dataset import Bucket, Dataset, Example
from engine.values.pictures import to_pillow
from engine.whole_files import replacing


def dataset_of(
    pictures: Sequence[Tensor],
    captions: Sequence[str],
    folder: Path,
    *,
    regularisation: bool = False,
    weight: float = 1.0,
    repeats: int = 1,
    own_size: bool = False,
) -> Dataset:
    """Pictures [H, W, 3] with one caption each, or one for all.

    folder: where their files are kept. own_size: train each at the size it has, which must be a multiple of 8.
    """
    if not pictures:
        raise InvalidInput("There is no picture to make a dataset of.", hint="Connect at least one.")
    if len(captions) not in (1, len(pictures)) or not all(captions):
        raise InvalidInput(f"{len(captions)} captions do not fit {len(pictures)} pictures.", hint="Write one a line, or one for all.")
    texts = captions if len(captions) > 1 else [captions[0]] * len(pictures)
    examples = []
    for number, (picture, caption) in enumerate(zip(pictures, texts, strict=True), 1):
        path, digest = _kept(picture, folder)
        height, width = picture.shape[:2]
        if own_size and (height % 8 or width % 8):
            raise InvalidInput(f"Picture {number} has {width} x {height} pixels.", hint="Use multiples of 8, or turn own_size off.")
        bucket = Bucket(width, height, width, height) if own_size else None
        examples.append(
            Example(
                f"picture {number}", str(path), digest, width, height, (caption,),
                regularisation=regularisation, weight=weight, repeats=repeats, bucket=bucket,
            )
        )  # fmt: skip
    return Dataset(tuple(examples))


def _kept(picture: Tensor, folder: Path) -> tuple[Path, str]:
    buffer = io.BytesIO()
    to_pillow(picture[..., :3]).save(buffer, format="PNG")
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{digest}.png"
    try:
        os.utime(path)  # those that were not used for longest are cleared away, perhaps right now
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(data)
    return path, digest

"""Pictures to train on: which they are, how their captions and cuts are drawn, and, once prepared, where their latents lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from engine.errors import InvalidInput, MissingFile, named
from engine.graph import port

ShortBatches = Literal["keep", "fill", "drop", "scale"]
MaskSource = Literal["file", "alpha"]


@dataclass(frozen=True)
class CaptionPolicy:
    """How a caption is drawn each time its picture is, in the order of `engine.diffusion.training.captions.draw`.

    shuffle: put the tags (parts between `separator`) into random order, but for the first `keep_tokens`; or, where the caption holds
    `keep_tokens_separator`, but for what stands before its first and after its second occurrence.
    secondary_separator: becomes `separator` at the end, so that tags joined by it stay together.
    prefix, suffix: words around every caption.
    dropout: chance of an empty caption; dropout_every_n_epochs: every n-th epoch has empty captions only (0: none).
    tag_dropout: chance of each movable tag to be left out.
    wildcards: draw one of the caption file's lines, and one of each `{a|b}`.
    warmup_steps: steps until all movable tags are there, growing from `warmup_min` (0: all from the start).
    weighted: brackets weigh words, as in prompts; else they are plain text.
    """

    shuffle: bool = False
    separator: str = ","
    keep_tokens: int = 0
    keep_tokens_separator: str = ""
    secondary_separator: str = ""
    prefix: str = ""
    suffix: str = ""
    dropout: float = 0.0
    dropout_every_n_epochs: int = 0
    tag_dropout: float = 0.0
    wildcards: bool = False
    warmup_min: int = 1
    warmup_steps: int = 0
    weighted: bool = False

    @property
    def varies(self) -> bool:
        """Whether two draws of one caption may give different words; dropping the whole caption does not count."""
        return self.shuffle or self.wildcards or self.tag_dropout > 0 or self.warmup_steps > 0


@dataclass(frozen=True)
class FaceCrop:
    """Cuts around the face that a picture's name tells of: their shorter side is `smallest` to `largest` times the face."""

    smallest: float
    largest: float


@dataclass(frozen=True)
class Augmentation:
    """How a picture differs each time it is drawn.

    flip: half the time mirrored. random_crop: cut anywhere, not from the middle. colour: a third of the time a little other hue or
    brightness. variants: how many different cuts are prepared of each picture where crop or colour are random. face: cut around the face.
    """

    flip: bool = False
    random_crop: bool = False
    colour: bool = False
    variants: int = 4
    face: FaceCrop | None = None


@dataclass(frozen=True)
class Bucket:
    """The size that a picture is trained at: scaled to `resized_width` x `resized_height`, cut to `width` x `height`. Pixels."""

    width: int
    height: int
    resized_width: int
    resized_height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


@dataclass(frozen=True)
class LossMask:
    """What of a picture counts: white (255) counts, black does not. source "alpha": the picture's own alpha channel.

    path, digest: the mask's file and the SHA-256 of its bytes; empty for alpha.
    """

    source: MaskSource
    path: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Example:
    """One picture to train on.

    name: how it is told to people. path: its file. digest: SHA-256 of the file's bytes, hexadecimal. width, height: in pixels, upright
    (after the EXIF orientation). captions: lines, of which the first counts unless wildcards are on; trigger and class are in them.
    regularisation: shows the class instead of the subject (prior preservation). weight: of its loss. repeats: times per epoch.
    bucket: None until a size was chosen. held_out: not trained on, only the loss on it is measured.
    """

    name: str
    path: str
    digest: str
    width: int
    height: int
    captions: tuple[str, ...]
    mask: LossMask | None = None
    regularisation: bool = False
    weight: float = 1.0
    repeats: int = 1
    policy: CaptionPolicy = field(default_factory=CaptionPolicy)
    augmentation: Augmentation = field(default_factory=Augmentation)
    bucket: Bucket | None = None
    held_out: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Example:
        mask, bucket, augmentation = record["mask"], record["bucket"], record["augmentation"]
        face = augmentation.get("face")
        parts = {
            "captions": tuple(record["captions"]),
            "mask": None if mask is None else LossMask(**mask),
            "policy": CaptionPolicy(**record["policy"]),
            "augmentation": Augmentation(**{**augmentation, "face": None if face is None else FaceCrop(**face)}),
            "bucket": None if bucket is None else Bucket(**bucket),
        }
        return Example(**{**record, **parts})


def bucket_of(example: Example) -> Bucket:
    """The example's bucket; raises InvalidInput if none was chosen."""
    if example.bucket is None:
        raise InvalidInput(f"{example.name} has no bucket.", hint="Put the node Buckets between the dataset and its cache.")
    return example.bucket


def _dataset_to_json(value: Dataset) -> dict[str, Any]:
    return {**asdict(value), "examples": [example.to_json() for example in value.examples]}


def _dataset_from_json(record: Mapping[str, Any]) -> Dataset:
    """Raises MissingFile if a picture is gone."""
    examples = tuple(Example.from_json(example) for example in record["examples"])
    for example in examples:
        _must_exist(example.path)
    return Dataset(**{**record, "examples": examples, "warnings": tuple(record["warnings"])})


def _must_exist(path: str) -> None:
    if not Path(path).is_file():
        raise MissingFile(f"The file {named(Path(path))} is gone.", hint="Put it back, or read the dataset again.")


class DatasetCodec:
    """Stores names and texts; the pictures stay where they are."""

    def encode(self, value: Dataset) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, _dataset_to_json(value)

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Dataset:
        return _dataset_from_json(metadata)


@port("DATASET", color="#c5e1a5", codec=DatasetCodec())
@dataclass(frozen=True)
class Dataset:
    """Pictures to train on, in a fixed order.

    trigger: the words that stand for the subject or style; class_word: what it is one of. Both may be empty.
    short_batches: what becomes of the rest of a bucket that is no full batch: kept as it is, filled up with other pictures of the
    bucket, dropped, or kept with its loss scaled to its share of a batch.
    warnings: what a person should know before training starts.
    """

    examples: tuple[Example, ...]
    trigger: str = ""
    class_word: str = ""
    short_batches: ShortBatches = "keep"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cut:
    """The part of a picture that one draw trains on.

    The upright picture is scaled to `resized_width` x `resized_height`; a box of `width` x `height` at `left`, `top` is cut out,
    shifted in hue (degrees), brightened (gamma) and mirrored (`flip`). Pixels.
    """

    resized_width: int
    resized_height: int
    left: int
    top: int
    width: int
    height: int
    hue: float = 0.0
    gamma: float = 1.0
    flip: bool = False

    @property
    def crop(self) -> tuple[int, int]:
        """(top, left) of the box, seen in the mirrored picture where it is mirrored; the crop that SDXL is told."""
        return self.top, (self.resized_width - self.width - self.left if self.flip else self.left)


class TrainingSetCodec:
    """Stores where the prepared files lie; without them it is made again."""

    def encode(self, value: TrainingSet) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {
            "dataset": _dataset_to_json(value.dataset),
            "cuts": [[asdict(cut) for cut in cuts] for cuts in value.cuts],
            "latents": value.latents,
            "texts": value.texts,
            "caption_variants": value.caption_variants,
            "family": value.family,
        }

    def decode(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> TrainingSet:
        """Raises MissingFile if a picture or a prepared file is gone."""
        texts = metadata["texts"]
        for path in [path for files in metadata["latents"] for path in files] + list((texts or {}).values()):
            _must_exist(path)
        return TrainingSet(
            dataset=_dataset_from_json(metadata["dataset"]),
            cuts=tuple(tuple(Cut(**cut) for cut in cuts) for cuts in metadata["cuts"]),
            latents=tuple(tuple(files) for files in metadata["latents"]),
            texts=texts,
            caption_variants=metadata["caption_variants"],
            family=metadata["family"],
        )


@port("TRAINING_SET", color="#9ccc65", codec=TrainingSetCodec())
@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A dataset whose pictures are encoded: what a trainer draws batches from (`engine.diffusion.training.batches.Batches`).

    cuts, latents: for each example its possible cuts and, in the same order, the safetensors file of each: `mean` and `logvar`
    [C, h, w] float32 of the VAE's posterior, in the VAE's space, and `mask` [1, h, w] in 0..1 where the example has one.
    texts: the file (`context` [1, N, D], `pooled` [1, P]) of every caption that may be drawn, or None where texts are encoded live.
    caption_variants: how many draws of a caption that varies are kept; 0: each draw is new.
    family: the VAE's, which says how its latents are scaled for the network.
    """

    dataset: Dataset
    cuts: tuple[tuple[Cut, ...], ...]
    latents: tuple[tuple[str, ...], ...]
    texts: Mapping[str, str] | None = None
    caption_variants: int = 0
    family: str = "sd15"

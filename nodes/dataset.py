"""Datasets: pictures with captions to train on, from a folder to what a trainer draws batches from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import Field

from engine.diffusion.training.buckets import BucketPlan, Rule, with_buckets
from engine.diffusion.training.captions import policy_of
from engine.diffusion.training.dataset_config import CONFIG_BYTES, Find, folders_of, read_config
from engine.diffusion.training.dataset_folder import Folder, Layout, Masks, Reading, merged, read_folder
from engine.diffusion.training.entry_cache import EntryCache
from engine.diffusion.training.faces import augmentation_of, check_faces
from engine.diffusion.training.holding_out import held_out
from engine.diffusion.training.tables import dataset_table
from engine.diffusion.training.training_set import prepare
from engine.errors import InvalidInput, MissingFile
from engine.graph import Choice, Context, Seed, Variadic, Widget, node
from engine.values.dataset import Dataset, ShortBatches, TrainingSet
from engine.values.model import Clip, Vae

Line = Annotated[str, Widget(multiline=False)]
Fraction = Annotated[float, Field(ge=0, le=1), Widget(step=0.01)]
Weight = Annotated[float, Field(ge=0, le=100), Widget(step=0.05)]
Repeats = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=8, le=8192), Widget(step=8)]
NONE = "none"


class Read(NamedTuple):
    dataset: Dataset
    table: str


class Cached(NamedTuple):
    training_set: TrainingSet
    table: str


def _read(dataset: Dataset, ctx: Context) -> Read:
    for warning in dataset.warnings:
        ctx.log.warning("%s", warning)
    return Read(dataset, dataset_table(dataset))


def _folder(ctx: Context, name: str) -> Folder:
    return Folder(name, *ctx.folders.files("datasets", name))


@node("DatasetFromFolder", category="training/dataset", display_name="Dataset from Folder", lane="io")
def dataset_from_folder(
    ctx: Context,
    folder: Annotated[str, Choice("datasets")],
    trigger: Line = "",
    class_word: Line = "",
    caption: Line = "",
    repeats: Repeats = 1,
    layout: Layout = "auto",
    recursive: bool = True,
    masks: Masks = "none",
    mask_folder: Annotated[str, Choice("datasets", extra=(NONE,))] = NONE,
    regularisation: bool = False,
    weight: Weight = 1.0,
    skip_damaged: bool = False,
    metadata: Line = "",
) -> Read:
    """Read pictures to train on, with the captions (`.txt` or `.caption`) beside them.

    folder: a folder in `datasets`, or one that was named with `--datasets`.
    trigger: words that shall stand for the subject or style. Captions that hold them already are left as they are; before others they
        are put, with a comma.
    class_word: what the subject is one of (`dog`); regularisation pictures show it instead of the trigger.
    caption: for pictures without a caption file. In numbered folders the folder's name does that.
    repeats: how often an epoch holds each picture; numbered folders (`10_sks dog`) multiply it.
    layout: kohya: only sub-folders named like `10_sks dog`. flat: every picture. auto: kohya's where there is such a sub-folder.
    recursive: also pictures in deeper folders.
    masks: what of a picture counts: its alpha channel, or the white parts of the picture of the same name in mask_folder.
    regularisation: the pictures show the class, not the subject (prior preservation).
    weight: of the loss of these pictures; that of prior preservation is usually 1.
    skip_damaged: leave out pictures that cannot be read, with a warning, instead of refusing.
    metadata: a JSON or JSONL file of the folder that holds captions, such as metadata.jsonl. It comes before files beside the pictures.

    Returns:
        dataset: the pictures.
        table: what was found, and what to look at before training.
    """
    if (mask_folder != NONE) != (masks == "folder"):
        raise InvalidInput("`masks` and `mask_folder` contradict each other.", hint="Choose masks=folder and a mask_folder, or neither.")
    reading = Reading(
        trigger=trigger.strip(),
        class_word=class_word.strip(),
        caption=caption.strip(),
        repeats=repeats,
        layout=layout,
        recursive=recursive,
        regularisation=regularisation,
        weight=weight,
        masks=masks,
        mask_folder=None if mask_folder == NONE else _folder(ctx, mask_folder),
        skip_damaged=skip_damaged,
        metadata=metadata.strip(),
    )
    return _read(read_folder(_folder(ctx, folder), reading, max_pixels=ctx.job.max_pixels, progress=ctx.progress), ctx)


def _config_text(ctx: Context, config: str) -> str:
    with ctx.folders.resolve("datasets:config", config).open("rb") as file:
        data = file.read(CONFIG_BYTES + 1)
    if len(data) > CONFIG_BYTES:
        raise InvalidInput(f"{config} has more than {CONFIG_BYTES:,} bytes.", hint="A dataset configuration is a short text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{config} is no UTF-8 text.", hint="Save it as UTF-8.") from error


def _finder(ctx: Context, config: str) -> Find:
    """Folders that a configuration names: by path within a dataset folder, else beside the file, else as a dataset's name."""

    def find(name: str) -> Folder:
        beside = str(PurePosixPath(config).parent / name.replace("\\", "/"))
        known = ctx.folders.dataset_at(name)
        try:
            return _folder(ctx, known or beside)
        except MissingFile:
            return _folder(ctx, name)

    return find


def _content(ctx: Context, config: str) -> list[str]:
    """The digests of the folders that a configuration names."""
    find = _finder(ctx, config)
    return [ctx.folders.digest("datasets", find(name).name) for name in folders_of(_config_text(ctx, config))]


@node("DatasetFromConfig", category="training/dataset", display_name="Dataset from Config", lane="io", fingerprint=_content)
def dataset_from_config(ctx: Context, config: Annotated[str, Choice("datasets:config")], trigger: Line = "") -> Read:
    """Read a dataset as a configuration file of kohya's sd-scripts (TOML) describes it.

    Names that have no meaning here are refused, all of them at once. `image_dir` is looked up beside the file and among the dataset
    folders; nothing outside of them is read. Where the file gives a resolution, the pictures are put into its buckets.

    trigger: kept with the dataset, to name the LoRA's trigger; captions are left as they are.

    Returns:
        dataset: the pictures.
        table: what was found, and what to look at before training.
    """
    dataset = read_config(_config_text(ctx, config), _finder(ctx, config), max_pixels=ctx.job.max_pixels, progress=ctx.progress)
    return _read(replace(dataset, trigger=trigger.strip()), ctx)


@node("DatasetMerge", category="training/dataset", display_name="Merge Datasets")
def dataset_merge(datasets: Variadic[Dataset]) -> Dataset:
    """Put datasets together: subjects, regularisation pictures, or the same pictures at several resolutions."""
    if not datasets:
        raise InvalidInput("There is no dataset to merge.", hint="Connect at least one.")
    return merged(datasets)


@node("ValidationSplit", category="training/dataset", display_name="Validation Split")
def validation_split(dataset: Dataset, share: Annotated[float, Field(ge=0.001, le=0.9), Widget(step=0.05)] = 0.1, seed: Seed = 0) -> Read:
    """Hold some pictures out of the training. The loss that the plan's validate_every measures is then theirs: while it falls, the
    training learns what pictures have in common; when it rises, only the single pictures.

    share: of the pictures that are not for regularisation; at least one.
    seed: which ones.

    Returns:
        dataset: the same pictures.
        table: which are held out.
    """
    split = held_out(dataset, share, seed)
    return Read(split, dataset_table(split))


@node("CaptionPolicy", category="training/dataset", display_name="Caption Shuffle and Dropout")
def caption_policy(
    dataset: Dataset,
    shuffle: bool = False,
    keep_tokens: Annotated[int, Field(ge=0, le=1000)] = 0,
    tag_dropout: Fraction = 0.0,
    dropout: Fraction = 0.0,
    dropout_every_n_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0,
    separator: Line = ",",
    keep_tokens_separator: Line = "",
    secondary_separator: Line = "",
    prefix: Line = "",
    suffix: Line = "",
    wildcards: bool = False,
    warmup_min: Annotated[int, Field(ge=1, le=1000)] = 1,
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 0,
    weighted: bool = False,
) -> Dataset:
    """Say how captions are drawn each time their picture is. A caption's tags are what stands between commas.

    shuffle: put the tags into random order, but for the first keep_tokens.
    tag_dropout: chance of each tag after the first keep_tokens to be left out.
    dropout: chance of the whole caption to be empty. dropout_every_n_epochs: every n-th epoch has empty captions only.
    keep_tokens_separator: instead of keep_tokens: what stands before it in a caption stays in front (and after a second one at the
        end).
    secondary_separator: tags joined by it stay together; it becomes the separator at the end.
    prefix, suffix: words around every caption.
    wildcards: draw one of the lines of a caption file, and one of each `{a|b}`.
    warmup_steps: steps until all tags are there, growing from warmup_min.
    weighted: brackets weigh words, as in prompts.
    """
    policy = policy_of(
        shuffle=shuffle, separator=separator, keep_tokens=keep_tokens, keep_tokens_separator=keep_tokens_separator,
        secondary_separator=secondary_separator, prefix=prefix, suffix=suffix, dropout=dropout,
        dropout_every_n_epochs=dropout_every_n_epochs, tag_dropout=tag_dropout, wildcards=wildcards, warmup_min=warmup_min,
        warmup_steps=warmup_steps, weighted=weighted,
    )  # fmt: skip
    return replace(dataset, examples=tuple(replace(example, policy=policy) for example in dataset.examples))


@node("Augmentation", category="training/dataset", display_name="Augmentation")
def augmentation(
    dataset: Dataset,
    flip: bool = False,
    random_crop: bool = False,
    colour: bool = False,
    variants: Annotated[int, Field(ge=1, le=64)] = 4,
    face_crop: Line = "",
) -> Dataset:
    """Let pictures differ a little each time they are drawn. What is drawn is prepared beforehand, so training stays as fast.

    flip: half the time mirrored; not for what has a left and a right, such as text.
    random_crop: cut to the bucket anywhere instead of in the middle.
    colour: a third of the time another hue (up to 16 degrees) or brightness (5%).
    variants: how many cuts are prepared of each picture for random_crop, colour and face_crop.
    face_crop: cut around a face, between so many times its size, such as `2.0,4.0`. The pictures' names tell where it is:
        `name_512_300_200_220.png` is its middle, its width and height in pixels, as kohya's tools write them.
    """
    if variants != 4 and not (random_crop or colour or face_crop.strip()):
        raise InvalidInput(
            "`variants` has no effect without random_crop, colour or face_crop.", hint="Turn one of them on, or leave it at 4."
        )
    policy = augmentation_of(flip=flip, random_crop=random_crop, colour=colour, variants=variants, face=face_crop)
    examples = tuple(replace(example, augmentation=policy) for example in dataset.examples)
    check_faces(examples)
    return replace(dataset, examples=examples)


@node("Buckets", category="training/dataset", display_name="Buckets")
def buckets(
    dataset: Dataset,
    resolution: Side = 512,
    min_side: Side = 256,
    max_side: Side = 2048,
    step: Annotated[int, Field(ge=8, le=512), Widget(step=8)] = 64,
    rule: Rule = "least_crop",
    short_batches: ShortBatches = "keep",
) -> Read:
    """Choose for each picture the size it is trained at, so that pictures of other shapes than a square lose little.

    resolution: side of the square that has as many pixels as each bucket may have.
    min_side, max_side, step: sides of a bucket lie between these, in multiples of step.
    rule: least_crop loses the least of a picture. kohya: the nearest aspect ratio from the list of kohya's sd-scripts.
        `..._no_upscale`: enlarges no picture; small ones get smaller buckets. one_size: all are cropped to a square.
    short_batches: the rest of a bucket that is no full batch: keep it, fill it up with further pictures of the bucket, drop it, or
        keep it and scale its loss to its share of a batch.

    Returns:
        dataset: the pictures with their buckets.
        table: which picture is in which bucket.
    """
    plan = BucketPlan(resolution, resolution, min_side, max_side, step, rule)
    sized = replace(with_buckets(dataset, plan), short_batches=short_batches)
    return Read(sized, dataset_table(sized))


@node("CacheDataset", category="training/dataset", display_name="Cache Dataset", lane="device")
def cache_dataset(
    ctx: Context, dataset: Dataset, vae: Vae, clip: Clip | None = None, caption_variants: Annotated[int, Field(ge=0, le=1000)] = 16
) -> Cached:
    """Encode the pictures, and the captions if a CLIP is given, once for the whole training. What is known from earlier runs is kept.

    clip: leave it open when the text encoder is trained too, or when each draw of a caption shall be new.
    caption_variants: how many draws are encoded of a caption that is shuffled or otherwise varies.

    Returns:
        training_set: what a trainer draws its batches from.
        table: the pictures, and how many were encoded now.
    """
    cache = EntryCache(ctx.folders.state / "training_cache")
    training_set = prepare(
        ctx.memory, dataset, vae, clip, cache,
        caption_variants=caption_variants, max_pixels=ctx.job.max_pixels, progress=ctx.progress,
    )  # fmt: skip
    return Cached(training_set, f"{dataset_table(dataset)}\n{cache.made} entries encoded now, {cache.found} known from before")

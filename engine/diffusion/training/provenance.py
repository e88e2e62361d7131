"""What an adapter's file says about the pictures and the model that it was trained with, under the names of kohya's trainer, which is
where other programs look for the tags, the trigger and the size."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.diffusion.model_options import prediction
from engine.diffusion.sampling.prediction import Velocity
from engine.diffusion.training.batches import Batches
from engine.diffusion.training.pictures import SUFFIXES
from engine.diffusion.training.recipe import Recipe
from engine.values.dataset import Example, TrainingSet, bucket_of
from engine.values.model import Clip, Model

MOST_TAGS = 1000
"""Of one folder, the most frequent ones; captions in sentences would fill the header."""
MOST_TAGS_IN_ALL = 10_000
"""Many folders share them evenly: a header of which nobody reads more than some megabytes is no place for a whole dataset."""
MOST_TAG_LENGTH = 200


def metadata_of_data(data: TrainingSet, recipe: Recipe, steps: int) -> dict[str, str]:
    """How many pictures, of which folders, at which sizes, with which tags; and which epoch a step is in."""
    subject = [example for example in data.dataset.examples if not (example.regularisation or example.held_out)]
    others = [example for example in data.dataset.examples if example.regularisation]
    batches = Batches(data, batch_size=recipe.batch_size * recipe.processes, seed=recipe.seed)
    epochs = batches.locate(max(0, steps * recipe.accumulation - 1))[0] + 1
    sizes = Counter(bucket_of(example).size for example in subject for _ in range(example.repeats))
    width, height = sizes.most_common(1)[0][0]
    found: dict[str, Any] = {
        "ss_num_train_images": sum(example.repeats for example in subject),
        "ss_num_reg_images": sum(example.repeats for example in others),
        "ss_num_validation_images": sum(example.held_out for example in data.dataset.examples),
        "ss_num_batches_per_epoch": batches.epoch_length,
        "ss_num_epochs": epochs,
        "ss_epoch": epochs,
        "ss_resolution": (width, height),
        "ss_enable_bucket": len(sizes) > 1,
        "ss_bucket_info": json.dumps(_buckets(subject, sizes)),
        "ss_dataset_dirs": json.dumps(_folders(subject)),
        "ss_reg_dataset_dirs": json.dumps(_folders(others)),
        "ss_tag_frequency": json.dumps(_tags(subject), ensure_ascii=False),
        "ss_cache_latents": True,
        **_drawing(subject[0]),
    }
    trigger = {"modelspec.trigger_phrase": data.dataset.trigger} if data.dataset.trigger else {}
    return {**{name: str(value) for name, value in found.items()}, "modelspec.resolution": f"{width}x{height}", **trigger}


def metadata_of_models(model: Model, clip: Clip | None) -> dict[str, str]:
    """The name of the model's file, what it predicts if that is v, and how the text encoder was read where that is not as usual."""
    found = {"ss_sd_model_name": Path(model.weights.files[0].path).name} if model.weights.files else {}
    if isinstance(prediction(model).formula, Velocity):
        found["modelspec.prediction_type"] = "v"
    if clip is not None and clip.skip is not None:
        found["ss_clip_skip"] = str(-clip.skip)
    return found


def _drawing(example: Example) -> dict[str, Any]:
    """How captions and cuts of the pictures were drawn; a dataset of several kinds is told of by its first picture."""
    policy, augmentation = example.policy, example.augmentation
    return {
        "ss_shuffle_caption": policy.shuffle,
        "ss_keep_tokens": policy.keep_tokens,
        "ss_caption_dropout_rate": policy.dropout,
        "ss_caption_dropout_every_n_epochs": policy.dropout_every_n_epochs,
        "ss_caption_tag_dropout_rate": policy.tag_dropout,
        "ss_flip_aug": augmentation.flip,
        "ss_color_aug": augmentation.colour,
        "ss_random_crop": augmentation.random_crop,
        "ss_face_crop_aug_range": None if augmentation.face is None else (augmentation.face.smallest, augmentation.face.largest),
    }


def _is_picture(example: Example) -> bool:
    """Latents that a graph gave have no folder and no words."""
    return Path(example.path).suffix.lower() in SUFFIXES


def _folder(example: Example) -> str:
    return Path(example.path).parent.name


def _folders(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for example in filter(_is_picture, examples):
        entry = found.setdefault(_folder(example), {"n_repeats": example.repeats, "img_count": 0})
        entry["img_count"] += 1
    return found


def _tags(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    """How many pictures of each folder have a tag: what stands between commas in their captions."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in filter(_is_picture, examples):
        tags = {tag for line in example.captions for part in line.split(",") if (tag := part.strip().lower())}
        counts[_folder(example)].update(tag[:MOST_TAG_LENGTH] for tag in tags)
    most = min(MOST_TAGS, MOST_TAGS_IN_ALL // max(1, len(counts)))
    return {folder: dict(tags.most_common(most)) for folder, tags in counts.items()}


def _buckets(examples: Sequence[Example], sizes: Counter[tuple[int, int]]) -> dict[str, Any]:
    buckets = {str(number): {"resolution": list(size), "count": count} for number, (size, count) in enumerate(sorted(sizes.items()))}
    errors = [abs(bucket_of(example).width / bucket_of(example).height - example.width / example.height) for example in examples]
    return {"buckets": buckets, "mean_img_ar_error": sum(errors) / len(errors)}

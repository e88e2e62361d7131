"""kohya's dataset configuration (TOML): general, datasets, subsets. A value is taken from the subset, else the dataset, else general."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.diffusion.training.buckets import BucketPlan, Rule, with_buckets
from engine.diffusion.training.captions import policy_of
from engine.diffusion.training.dataset_folder import CAPTION_SUFFIXES, Folder, Progress, Reading, listed, merged, read_folder
from engine.diffusion.training.faces import augmentation_of, check_faces
from engine.diffusion.training.holding_out import held_out
from engine.errors import InvalidInput
from engine.values.dataset import Dataset

CONFIG_BYTES = 1_000_000

# kohya's name -> CaptionPolicy's
_CAPTIONS: dict[str, tuple[str, type]] = {
    "shuffle_caption": ("shuffle", bool),
    "caption_separator": ("separator", str),
    "keep_tokens": ("keep_tokens", int),
    "keep_tokens_separator": ("keep_tokens_separator", str),
    "secondary_separator": ("secondary_separator", str),
    "enable_wildcard": ("wildcards", bool),
    "caption_prefix": ("prefix", str),
    "caption_suffix": ("suffix", str),
    "caption_dropout_rate": ("dropout", float),
    "caption_dropout_every_n_epochs": ("dropout_every_n_epochs", int),
    "caption_tag_dropout_rate": ("tag_dropout", float),
    "token_warmup_min": ("warmup_min", int),
    "token_warmup_step": ("warmup_steps", int),
}
_AUGMENTATION: dict[str, tuple[str, type]] = {
    "flip_aug": ("flip", bool), "random_crop": ("random_crop", bool), "color_aug": ("colour", bool)
}  # fmt: skip
_SUBSET: dict[str, type] = {
    "num_repeats": int, "caption_extension": str, "caption_extention": str, "alpha_mask": bool, "face_crop_aug_range": str,
    **{name: kind for name, (_, kind) in (_CAPTIONS | _AUGMENTATION).items()},
}  # fmt: skip
_SUBSET_ONLY: dict[str, type] = {
    "image_dir": str, "is_reg": bool, "class_tokens": str, "conditioning_data_dir": str, "metadata_file": str
}  # fmt: skip
_DATASET: dict[str, type] = {
    "resolution": object, "enable_bucket": bool, "min_bucket_reso": int, "max_bucket_reso": int, "bucket_reso_steps": int,
    "bucket_no_upscale": bool, "batch_size": int, "validation_split": float, "validation_seed": int,
}  # fmt: skip

_RANGES: dict[str, tuple[float, float]] = {
    "num_repeats": (1, 10_000), "caption_dropout_rate": (0, 1), "caption_tag_dropout_rate": (0, 1), "validation_split": (0, 0.9),
    "min_bucket_reso": (8, 8192), "max_bucket_reso": (8, 8192), "bucket_reso_steps": (8, 512),
}  # fmt: skip
"""Of numbers; others are 0 or more."""

Find = Callable[[str], Folder]
"""The folder that an `image_dir` names. Raises UnsafePath or MissingFile for what is no dataset folder."""


def read_config(text: str, find: Find, *, max_pixels: int, progress: Progress = lambda done, total: None) -> Dataset:
    """The dataset that a configuration describes, with buckets where it gives a resolution.

    Raises InvalidInput: for text that is no TOML, and with one list for every name or value that is not supported.
    """
    document = _parsed(text)
    faults: list[str] = []
    general = _table(document.get("general", {}), "general", faults)
    _check_names(document, {"general": object, "datasets": object}, "", faults)
    _check_names(general, _SUBSET | _DATASET, "general.", faults)
    datasets = _tables(document.get("datasets", []), "datasets", faults)
    plans = []
    for number, dataset in enumerate(datasets):
        place = f"datasets[{number}]"
        _check_names(dataset, _SUBSET | _DATASET | {"subsets": object}, f"{place}.", faults)
        subsets = _tables(dataset.get("subsets", []), f"{place}.subsets", faults)
        for index, subset in enumerate(subsets):
            inner = f"{place}.subsets[{index}]"
            _check_names(subset, _SUBSET | _SUBSET_ONLY, f"{inner}.", faults)
            if "image_dir" not in subset:
                faults.append(f"{inner} has no image_dir")
        plans.append(({**general, **dataset}, subsets))
    if not any(subsets for _, subsets in plans):
        faults.append("there is no [[datasets.subsets]]")
    if faults:
        raise InvalidInput(
            f"The dataset configuration has {len(faults)} entries that cannot be used. {listed(faults)}",
            hint="Remove or correct them; folders of masks go into conditioning_data_dir, training options into the training nodes.",
        )
    return merged([_dataset(values, subsets, find, max_pixels, progress) for values, subsets in plans if subsets])


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also a number of thousands of digits
        raise InvalidInput(f"The dataset configuration is no TOML: {error}", hint="Correct the line that it names.") from error
    except RecursionError as error:
        raise InvalidInput("The dataset configuration is nested too deeply.", hint="Write general, datasets and subsets only.") from error


def _table(value: Any, place: str, faults: list[str]) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    faults.append(f"{place} is no table")
    return {}


def _tables(value: Any, place: str, faults: list[str]) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        faults.append(f"{place} is no list of tables: write [[{place}]]")
        return []
    return [_table(item, f"{place}[{number}]", faults) for number, item in enumerate(value)]


def _check_names(table: Mapping[str, Any], known: Mapping[str, type], prefix: str, faults: list[str]) -> None:
    for name, value in table.items():
        kind = known.get(name)
        if kind is None:
            faults.append(f"{prefix}{name} is not supported")
        elif not _is_of(value, kind):
            faults.append(f"{prefix}{name} is {value!r:.60}, not {_KINDS[kind]}")
        elif name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
            faults.append(f"{prefix}{name} is {value!r:.60}, not between {_RANGES[name][0]} and {_RANGES[name][1]}")


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number of at least 0", float: "a number of at least 0", str: "a text"}


def _is_of(value: Any, kind: type) -> bool:
    if kind is object:
        return True
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)


def _dataset(values: Mapping[str, Any], subsets: list[Mapping[str, Any]], find: Find, max_pixels: int, progress: Progress) -> Dataset:
    parts, seen, warnings = [], set(), []
    for subset in subsets:
        name = subset["image_dir"]
        if name in seen:
            warnings.append(f"image_dir {name} is named twice in one dataset; the second is left out")
            continue
        seen.add(name)
        parts.append(read_folder(find(name), _reading({**values, **subset}, find), max_pixels=max_pixels, progress=progress))
    if "batch_size" in values:
        warnings.append("batch_size of the dataset configuration is not used: the training plan says it")
    dataset = merged(parts)
    check_faces(dataset.examples)
    dataset = replace(dataset, warnings=(*dataset.warnings, *warnings))
    if values.get("validation_split"):
        dataset = held_out(dataset, values["validation_split"], values.get("validation_seed", 0))
    return with_buckets(dataset, _plan(values)) if "resolution" in values else dataset


def _reading(values: Mapping[str, Any], find: Find) -> Reading:
    suffix = values.get("caption_extension", values.get("caption_extention"))
    masks = values.get("conditioning_data_dir")
    return Reading(
        caption=values.get("class_tokens", ""),
        repeats=values.get("num_repeats", 1),
        layout="flat",
        recursive=False,
        regularisation=values.get("is_reg", False),
        masks="folder" if masks else "alpha" if values.get("alpha_mask") else "none",
        mask_folder=find(masks) if masks else None,
        metadata=values.get("metadata_file", "").replace("\\", "/").rpartition("/")[2],
        caption_suffixes=CAPTION_SUFFIXES if suffix is None else (suffix,),
        policy=policy_of(**{own: values[name] for name, (own, _) in _CAPTIONS.items() if name in values}),
        augmentation=augmentation_of(
            **{own: values[name] for name, (own, _) in _AUGMENTATION.items() if name in values}, face=values.get("face_crop_aug_range", "")
        ),
    )


def _plan(values: Mapping[str, Any]) -> BucketPlan:
    resolution = values["resolution"]
    sides = resolution if isinstance(resolution, list) else [resolution, resolution]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InvalidInput(f"resolution is {resolution!r:.60}.", hint="Write one side, or [width, height], in pixels.")
    rule: Rule = "kohya_no_upscale" if values.get("bucket_no_upscale") else "kohya"
    return BucketPlan(
        width=sides[0],
        height=sides[1],
        smallest=values.get("min_bucket_reso", 256),
        largest=values.get("max_bucket_reso", 1024),
        step=values.get("bucket_reso_steps", 64),
        rule=rule if values.get("enable_bucket") else "one_size",
    )


def folders_of(text: str) -> list[str]:
    """Every folder that a configuration names, as it names them. Raises InvalidInput for text that is no TOML."""
    document = _parsed(text)
    datasets = document.get("datasets", [])
    tables = [document.get("general"), *datasets] if isinstance(datasets, list) else []
    subsets = [subset for table in tables if isinstance(table, dict) for subset in _as_list(table.get("subsets"))]
    named = [table.get(name) for table in (*tables, *subsets) if isinstance(table, dict) for name in ("image_dir", "conditioning_data_dir")]
    return [name for name in named if isinstance(name, str)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""A folder of pictures with captions beside them, as a dataset. Flat folders, and kohya's `N_name class` sub-folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from engine.diffusion.training.captions import trigger_warnings, with_trigger
from engine.diffusion.training.faces import without_face
from engine.diffusion.training.metadata_file import FileCaptions, read_metadata
from engine.diffusion.training.pictures import SUFFIXES, digest_of, read_upright
from engine.errors import EaselError, InvalidInput
from engine.values.dataset import Augmentation, CaptionPolicy, Dataset, Example, LossMask

Layout = Literal["auto", "kohya", "flat"]
Masks = Literal["none", "alpha", "folder"]
Progress = Callable[[int, int], None]

CAPTION_BYTES = 100_000
CAPTION_SUFFIXES = (".txt", ".caption")
OTHER_SHAPE = 0.02  # difference of side ratios from which a mask does not belong to its picture
_NUMBERED = re.compile(r"(\d{1,6})_(.*)")
_THREADS = 4
_LAYOUTS = f"Put pictures ({', '.join(sorted(SUFFIXES))}) into it, or into sub-folders named like `10_sks dog`, the layout of kohya."


@dataclass(frozen=True)
class Folder:
    """A folder to read. files: names below it, relative with `/`, each safe to open; `name` is how people are told of it."""

    name: str
    path: Path
    files: tuple[str, ...]

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.files)


@dataclass(frozen=True)
class Reading:
    """How a folder is read.

    trigger: put before captions that do not hold it. class_word: kept with the dataset. caption: for pictures without a caption file.
    repeats: per epoch, multiplied by the number in kohya's folder names. layout: "auto" is kohya's if numbered sub-folders hold
    pictures. recursive: also pictures in deeper folders. regularisation, weight, policy, augmentation: of each example.
    masks: where loss masks come from; mask_folder holds pictures of the same relative names. caption_suffixes: in order of preference.
    metadata: a JSON file of the folder with captions, which come before those beside pictures; empty for none.
    skip_damaged: leave out what cannot be read, with a warning, instead of refusing. captionless: pictures need no caption.
    """

    trigger: str = ""
    class_word: str = ""
    caption: str = ""
    repeats: int = 1
    layout: Layout = "auto"
    recursive: bool = True
    regularisation: bool = False
    weight: float = 1.0
    masks: Masks = "none"
    mask_folder: Folder | None = None
    caption_suffixes: tuple[str, ...] = CAPTION_SUFFIXES
    metadata: str = ""
    skip_damaged: bool = False
    captionless: bool = False
    policy: CaptionPolicy = field(default_factory=CaptionPolicy)
    augmentation: Augmentation = field(default_factory=Augmentation)


class _Group(NamedTuple):
    """Pictures with one number of repeats and one caption for those without a file."""

    repeats: int
    caption: str
    pictures: list[str]


class _Seen(NamedTuple):
    width: int
    height: int
    digest: str
    has_alpha: bool


@dataclass
class _Report:
    """What was noticed, by kind, each with the names it is about."""

    faults: list[str] = field(default_factory=list)
    notes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def warnings(self) -> Iterator[str]:
        for what, names in self.notes.items():
            yield f"{what}: {listed(names)}"


def read_folder(folder: Folder, reading: Reading, *, max_pixels: int, progress: Progress = lambda done, total: None) -> Dataset:
    """Every picture is decoded once here, so that a damaged one is found before anything is computed.

    Raises InvalidInput for a folder without pictures, and, naming all of them, for pictures that are damaged, too large or without a
    caption. What is only doubtful becomes a warning of the dataset.
    """
    report = _Report()
    groups = _groups(folder, reading, report)
    names = [name for group in groups for name in group.pictures]
    if not names:
        raise InvalidInput(f"The folder {folder.name} holds no picture to train on. {_what_else(folder)}", hint=_LAYOUTS)
    seen = _inspected(folder, names, reading, report, max_pixels, progress)
    masks = _masks(folder, [name for name in names if name in seen], seen, reading, report, max_pixels)
    described = _described(folder, reading)
    examples = [
        _example(folder, name, group, seen[name], masks.get(name), described.of(name), reading, report)
        for group in groups
        for name in group.pictures
        if name in seen
    ]
    if report.faults:
        raise InvalidInput(
            f"{len(report.faults)} pictures of {folder.name} cannot be trained on. {listed(report.faults)}",
            hint="Mend or remove them, add the missing captions, or give a trigger; skip_damaged leaves damaged pictures out.",
        )
    if not examples:
        raise InvalidInput(f"The folder {folder.name} holds no picture that can be read. {listed(report.notes['Left out, as damaged'])}")
    if unused := described.unused():
        report.notes["In the metadata file without a picture"] += unused
    if not reading.metadata:
        _note_captions(folder, names, examples, reading, report)
    _note_duplicates(examples, report)
    warnings = [*report.warnings(), *trigger_warnings(reading.trigger)]
    return Dataset(tuple(examples), reading.trigger, reading.class_word, warnings=tuple(warnings))


def _described(folder: Folder, reading: Reading) -> FileCaptions:
    if not reading.metadata:
        return FileCaptions("", {})
    if reading.metadata not in folder.known:
        raise InvalidInput(f"The folder {folder.name} has no metadata file {reading.metadata!r:.100}.", hint="Name a file that lies in it.")
    return read_metadata(folder.path / reading.metadata, reading.metadata, folder.path)


def _groups(folder: Folder, reading: Reading, report: _Report) -> list[_Group]:
    pictures = [name for name in folder.files if PurePosixPath(name).suffix.lower() in SUFFIXES]
    numbered = [name for name in pictures if "/" in name and _NUMBERED.fullmatch(name.split("/")[0])]
    if reading.layout == "flat" or (reading.layout == "auto" and not numbered):
        kept = [name for name in pictures if reading.recursive or "/" not in name]
        if left := sorted(set(pictures).difference(kept)):
            report.notes["Left out, as they lie in sub-folders (recursive is off)"] += left
        return [_Group(reading.repeats, reading.caption, kept)]
    groups: dict[str, _Group] = {}
    for name in pictures:
        first, _, rest = name.partition("/")
        match = _NUMBERED.fullmatch(first) if rest else None
        if match is None:
            report.notes["Left out, as they lie in no sub-folder named N_name"].append(name)
        elif int(match[1]) == 0:
            report.notes["Left out, as their folder says 0 repeats"].append(name)
        elif "/" in rest and not reading.recursive:
            report.notes["Left out, as they lie in sub-folders (recursive is off)"].append(name)
        else:
            caption = reading.caption or match[2].strip()
            groups.setdefault(first, _Group(int(match[1]) * reading.repeats, caption, [])).pictures.append(name)
    return list(groups.values())


def _what_else(folder: Folder) -> str:
    if not folder.files:
        return "It is empty."
    suffixes = sorted({PurePosixPath(name).suffix.lower() or "no suffix" for name in folder.files})
    return f"It has {len(folder.files)} files ({', '.join(suffixes[:10])})."


def _inspected(
    folder: Folder, names: Sequence[str], reading: Reading, report: _Report, max_pixels: int, progress: Progress
) -> dict[str, _Seen]:
    """What the pictures are; those that cannot be read are reported."""
    found: dict[str, _Seen] = {}
    pool = ThreadPoolExecutor(_THREADS)  # Pillow decodes without the interpreter's lock
    try:
        results = pool.map(lambda name: _inspect(folder.path / name, max_pixels), names)
        for done, (name, result) in enumerate(zip(names, results, strict=True), 1):
            if isinstance(result, _Seen):
                found[name] = result
            elif reading.skip_damaged:
                report.notes["Left out, as damaged"].append(f"{name} ({result})")
            else:
                report.faults.append(f"{name}: {result}")
            progress(done, len(names))
    finally:  # cancelled: the rest is not read
        pool.shutdown(cancel_futures=True)
    return found


def _inspect(path: Path, max_pixels: int) -> _Seen | str:
    try:
        upright = read_upright(path, max_pixels)
        return _Seen(*upright.rgb.size, digest_of(path), upright.alpha is not None)
    except EaselError as error:
        return str(error)
    except OSError as error:
        return _why(error)


def _example(
    folder: Folder,
    name: str,
    group: _Group,
    seen: _Seen,
    mask: LossMask | None,
    described: Sequence[str],
    reading: Reading,
    report: _Report,
) -> Example:
    lines = described or _caption_lines(folder, name, reading, report) or ([group.caption] if group.caption else [])
    captions = tuple(with_trigger(line, reading.trigger) for line in lines or [""])
    if captions == ("",) and not reading.captionless:
        report.faults.append(f"{name}: it has no caption")
    return Example(
        name=name,
        path=str(folder.path / name),
        digest=seen.digest,
        width=seen.width,
        height=seen.height,
        captions=captions,
        mask=mask,
        regularisation=reading.regularisation,
        weight=reading.weight,
        repeats=group.repeats,
        policy=reading.policy,
        augmentation=reading.augmentation,
    )


def _caption_lines(folder: Folder, name: str, reading: Reading, report: _Report) -> list[str]:
    """The lines of the caption file beside a picture that are not empty."""
    beside = _caption_file(name, reading, folder.known)
    if beside is None:
        return []
    try:
        with (folder.path / beside).open("rb") as file:
            data = file.read(CAPTION_BYTES + 1)
        if len(data) > CAPTION_BYTES:
            report.faults.append(f"{beside}: a caption of more than {CAPTION_BYTES:,} bytes")
            return []
        return [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        report.faults.append(f"{beside}: {_why(error)}")
    except UnicodeDecodeError:
        report.faults.append(f"{beside}: its text is not UTF-8")
    return []


def _why(error: OSError) -> str:
    """Without the path, which a person knows by another name."""
    return error.strerror or "it cannot be read"


def _caption_file(name: str, reading: Reading, files: frozenset[str]) -> str | None:
    stem = name[: -len(PurePosixPath(name).suffix)]
    stems = [stem] if (plain := without_face(stem)) is None else [stem, plain]
    return next((stem + suffix for stem in stems for suffix in reading.caption_suffixes if stem + suffix in files), None)


def _masks(
    folder: Folder, names: Sequence[str], seen: dict[str, _Seen], reading: Reading, report: _Report, max_pixels: int
) -> dict[str, LossMask]:
    if reading.masks == "none":
        return {}
    if reading.masks == "alpha":
        found = {name: LossMask("alpha") for name in names if seen[name].has_alpha}
        if not found:
            raise InvalidInput(f"No picture of {folder.name} has transparency to take a mask from.", hint="Set masks to none or folder.")
    else:
        found = _mask_files(folder, names, seen, reading, report, max_pixels)
    if without := [name for name in names if name not in found]:
        report.notes["Pictures without a mask, which count whole"] += without
    return found


def _mask_files(
    folder: Folder, names: Sequence[str], seen: dict[str, _Seen], reading: Reading, report: _Report, max_pixels: int
) -> dict[str, LossMask]:
    source = reading.mask_folder
    if source is None:
        raise InvalidInput("Masks are to come from a folder, but none is chosen.", hint="Choose mask_folder.")
    files = {str(PurePosixPath(name).with_suffix("")): name for name in source.files if PurePosixPath(name).suffix.lower() in SUFFIXES}
    found: dict[str, LossMask] = {}
    for name in names:
        own = files.get(str(PurePosixPath(name).with_suffix("")))
        if own is None:
            continue
        mask = _inspect(source.path / own, max_pixels)
        if isinstance(mask, str):
            report.faults.append(f"mask {own}: {mask}")
        elif abs(mask.width / mask.height / (seen[name].width / seen[name].height) - 1) > OTHER_SHAPE:
            report.faults.append(f"mask {own}: {mask.width} x {mask.height} has another shape than its picture")
        else:
            found[name] = LossMask("file", str(source.path / own), mask.digest)
    if not found and not report.faults:
        raise InvalidInput(f"The mask folder {source.name} has no picture named as one of {folder.name}.", hint="Name them alike.")
    return found


def _note_captions(folder: Folder, names: Sequence[str], examples: Sequence[Example], reading: Reading, report: _Report) -> None:
    described = {example.name: _caption_file(example.name, reading, folder.known) for example in examples}
    if any(described.values()) and (without := [name for name, file in described.items() if file is None]):
        report.notes["No caption file, unlike others"] += without
    stems = {str(PurePosixPath(name).with_suffix("")) for name in names}
    stems |= {plain for stem in stems if (plain := without_face(stem)) is not None}
    captions = [name for name in folder.files if PurePosixPath(name).suffix in reading.caption_suffixes]
    if lost := [name for name in captions if str(PurePosixPath(name).with_suffix("")) not in stems]:
        report.notes["Captions without a picture"] += lost


def _note_duplicates(examples: Sequence[Example], report: _Report) -> None:
    by_digest: dict[str, list[str]] = {}
    for example in examples:
        by_digest.setdefault(example.digest, []).append(example.name)
    for same in by_digest.values():
        if len(same) > 1:
            report.notes["The same picture more than once"].append(" = ".join(same))


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in a message."""
    return "; ".join(islice(names, most)) + (f"; and {len(names) - most} more" if len(names) > most else "")


def merged(datasets: Sequence[Dataset]) -> Dataset:
    """The examples of several datasets, one after the other; trigger and class word of the first that has one.

    Raises InvalidInput if they treat short batches differently.
    """
    if len({dataset.short_batches for dataset in datasets}) > 1:
        raise InvalidInput("The datasets treat short batches differently.", hint="Choose one rule in all their Buckets nodes.")
    return replace(
        datasets[0],
        examples=tuple(example for dataset in datasets for example in dataset.examples),
        trigger=next((dataset.trigger for dataset in datasets if dataset.trigger), ""),
        class_word=next((dataset.class_word for dataset in datasets if dataset.class_word), ""),
        warnings=tuple(dict.fromkeys(warning for dataset in datasets for warning in dataset.warnings)),
    )

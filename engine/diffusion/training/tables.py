"""A dataset as a table for people, to look at before training starts."""

from __future__ import annotations

from collections import Counter

from engine.diffusion.training.dataset_folder import listed
from engine.values.dataset import Dataset, Example

MOST_ROWS = 200


def dataset_table(dataset: Dataset) -> str:
    """Buckets with their counts (where chosen), then the pictures with size, bucket, repeats and caption, then the warnings."""
    subject = [example for example in dataset.examples if not example.regularisation]
    draws = sum(example.repeats for example in subject)
    lines = [f"{len(subject)} pictures, {draws} draws per epoch"]
    if count := len(dataset.examples) - len(subject):
        lines[0] += f", and {count} for regularisation"
    sizes = Counter(example.bucket.size for example in dataset.examples if example.bucket)
    lines += [f"bucket {width} x {height}: {count}" for (width, height), count in sorted(sizes.items())]
    lines += [_row(example) for example in dataset.examples[:MOST_ROWS]]
    if len(dataset.examples) > MOST_ROWS:
        lines.append(f"... and {len(dataset.examples) - MOST_ROWS} more")
    lines += [f"Warning: {warning}" for warning in dataset.warnings]
    return "\n".join(lines)


def _row(example: Example) -> str:
    bucket = example.bucket
    size = f"{example.width} x {example.height}" + (f" -> {bucket.width} x {bucket.height}" if bucket else "")
    marks = ["regularisation"] * example.regularisation + ["mask"] * (example.mask is not None) + ["held out"] * example.held_out
    notes = [f"x{example.repeats}", *marks]
    return f"{example.name}: {size}, {', '.join(notes)}: {listed(example.captions, 3)}"

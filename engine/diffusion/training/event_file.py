"""A training's curve as an event file of TensorBoard. The package tensorboardX is needed, and asked for by name where it is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from engine.diffusion.training.curve import smoothed
from engine.errors import InvalidInput
from engine.values.training import LossCurve


def write_events(path: Path, curve: LossCurve, first: int = 0) -> int:
    """Write the steps behind `first`; how many events there are. Raises InvalidInput without the package, and for a curve without them."""
    try:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar
    except ImportError as error:
        raise InvalidInput(f"Event files need the package tensorboardX: {error}.", hint="Run `pip install tensorboardX`.") from error
    points = list(_points(curve, first))
    if not points:
        raise InvalidInput(f"The curve has no step after {first}.", hint="Connect the curve of a training.")
    writer, now = RecordWriter(str(path)), time.time()
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for step, tag, value in points:
        writer.write(Event(wall_time=now, step=step, summary=scalar(tag, value)).SerializeToString())
    writer.close()
    return len(points)


def _points(curve: LossCurve, first: int) -> Iterator[tuple[int, str, float]]:
    """(step, tag, value) by step, under the tags of kohya's scripts."""
    further = {"loss/validation": dict(curve.validation), "loss/prior": dict(curve.prior)}
    means = smoothed([loss for _, loss, _ in curve.steps])
    for (step, loss, rate), mean in zip(curve.steps, means, strict=True):
        if step > first:
            yield step, "loss/current", loss
            yield step, "loss/average", mean
            yield step, "lr", rate
            for tag, found in further.items():
                if step in found:
                    yield step, tag, found[step]

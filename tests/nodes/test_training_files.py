"""Event files of TensorBoard, read record by record."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from engine.errors import InvalidInput, UnsafePath
from engine.values.lora import Lora
from engine.values.training import LossCurve
from nodes.training_files import save_training_file, tensorboard_log

CURVE = LossCurve(tuple((step, 1 / step, 1e-4) for step in range(1, 5)), ((2, 0.3), (4, 0.1)), ((3, 0.6),))


def events(path: Path) -> Iterator[Event]:
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def values(path: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for event in events(path):
        for value in event.summary.value:
            number = value.tensor.float_val[0] if value.tensor.float_val else value.simple_value
            found.setdefault(value.tag, {})[event.step] = pytest.approx(number)
    return found


def test_the_curve_is_written_by_segments(ctx):
    tensorboard_log(ctx, CURVE, name="mine")
    folder = ctx.folders.output / "tensorboard" / "mine"
    found = values(folder / "events.out.tfevents.0000000004")
    assert found["loss/current"] == {step: 1 / step for step in range(1, 5)}
    assert found["loss/validation"] == {2: 0.3, 4: 0.1} and found["loss/prior"] == {3: 0.6}
    assert found["lr"] == dict.fromkeys(range(1, 5), 1e-4)
    tensorboard_log(ctx, CURVE, name="mine", first=3)
    assert [path.name for path in folder.iterdir()] == ["events.out.tfevents.0000000004"]
    assert values(folder / "events.out.tfevents.0000000004")["loss/current"] == {4: 0.25}
    with pytest.raises(InvalidInput, match="no step after 4"):
        tensorboard_log(ctx, CURVE, name="mine", first=4)
    with pytest.raises(UnsafePath):
        tensorboard_log(ctx, CURVE, name="../../mine")


def test_a_missing_package_is_named(ctx, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InvalidInput, match="need the package tensorboardX"):
        tensorboard_log(ctx, CURVE)


@pytest.mark.parametrize("name", ["../../mine", "/etc/mine", "a/../../mine", "mine\0"])
def test_nothing_is_looked_for_or_removed_outside_of_the_folder(ctx, name):
    outside = ctx.folders.models.parent / "mine-step000001.safetensors"
    outside.write_bytes(b"not ours")
    with pytest.raises(UnsafePath):
        save_training_file(ctx, Lora({}), 2, "training", name, 1, "float16")
    assert outside.read_bytes() == b"not ours"

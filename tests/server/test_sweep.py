"""What the server clears away in the data folder, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from engine.graph import Folders
from engine.server import sweep as sweep_module
from engine.server.sweep import sweep
from engine.whole_files import part_in
from tests.server.serving import make_data, serving

DAY = 24 * 3600


def file(path: Path, size: int = 1, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def folders(tmp_path) -> Folders:
    found = Folders(tmp_path / "data")
    found.create()
    return found


def test_what_killed_processes_left_half_written_goes(folders, tmp_path):
    rooms = (folders.input, folders.output / "deep", folders.temp, folders.workflows, folders.datasets / "mine", folders.state)
    left = [file(part_in(room, ".png"), age=2 * DAY) for room in rooms]
    left += [file(folders.input / ".upload-0123456789abcdef", age=2 * DAY), file(folders.state / f"{'0' * 64}.part", age=2 * DAY)]
    young = [file(part_in(folders.input, ".png")), file(part_in(folders.temp), age=DAY / 2)]
    others = [file(folders.input / name, age=9 * DAY) for name in ("a.png", ".upload-mine", ".0123.part.png", "a.part", ".keep")]
    outside = file(part_in(tmp_path / "outside"), age=2 * DAY)
    (folders.input / "link").symlink_to(outside.parent)
    sweep(folders, 10**9)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*young, *others, outside))


def test_copies_of_the_job_database_go_after_a_month(folders):
    ages = {"jobs.db.schema-1": 40, "jobs.db.schema-2": 9, "jobs.db": 99}
    old, new, itself = [file(folders.state / name, age=days * DAY) for name, days in ages.items()]
    sweep(folders, 10**9)
    assert [path.exists() for path in (old, new, itself)] == [False, True, True]


@pytest.mark.parametrize("room", ["temp", "state/made_pictures"])
def test_the_oldest_files_make_room(folders, room):
    home = folders.data / room
    old, older, new = [file(home / "sub" / f"{age}.png", 400, age * DAY) for age in (2, 3, 1)]
    running = file(home / "running.png", 900)
    sweep(folders, 1_400)
    assert [path.exists() for path in (older, old, new, running)] == [False, False, True, True]
    sweep(folders, 0)
    assert [path.exists() for path in (new, running)] == [False, True]


def test_files_that_go_meanwhile_do_not_end_the_sweep(folders, monkeypatch):
    """Jobs rename and remove files while their folders are looked through."""
    parts = [file(part_in(folders.input), age=2 * DAY) for _ in range(3)]
    temp = [file(folders.temp / f"{number}.png", age=2 * DAY) for number in range(3)]
    listed = sweep_module._below

    def changing(rooms):
        found = list(listed(rooms))
        for path in (*parts[:2], *temp[:2]):
            path.unlink(missing_ok=True)
        return iter(found)

    monkeypatch.setattr(sweep_module, "_below", changing)
    sweep(folders, 0)
    assert not parts[2].exists() and not temp[2].exists()


def test_what_a_person_keeps_stays(folders):
    kept = [file(getattr(folders, room) / "a.png", 5_000, 900 * DAY) for room in ("input", "output", "workflows", "datasets", "user")]
    sweep(folders, 0)
    assert all(path.exists() for path in kept)


def test_a_sweep_that_takes_long_keeps_no_server_from_stopping(tmp_path, monkeypatch):
    begun, done = threading.Event(), threading.Event()
    monkeypatch.setattr(sweep_module, "sweep", lambda folders, max_temp: (begun.set(), done.wait(600)))

    async def serve():
        async with serving(make_data(tmp_path / "data")):
            assert await asyncio.to_thread(begun.wait, 60)

    asyncio.run(serve())
    assert not done.is_set()
    done.set()


async def test_a_server_sweeps_when_it_starts(tmp_path):
    data = make_data(tmp_path / "data")
    left = file(part_in(data / "input", ".png"), age=2 * DAY)
    async with serving(data), asyncio.timeout(60):
        while left.exists():
            await asyncio.sleep(0.01)

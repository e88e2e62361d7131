"""Files appear whole, or not at all, and what is left of one is known by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.whole_files import is_part, part_in, replacing


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path and part.suffix == ".json" and is_part(part.name)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as part:
        part.write_text("half")
        raise OSError("the disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_name_of_a_person_is_taken_for_a_part(tmp_path: Path) -> None:
    assert is_part(part_in(tmp_path).name) and is_part(part_in(tmp_path, ".png").name)
    assert not any(is_part(name) for name in ("a.png", "a.part", ".0123.part.png", ".keep", f"{'0' * 63}.part", f"{'0' * 64}.part.png"))

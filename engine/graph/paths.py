"""File names from outside: one rule for every name that a client, a workflow or a setting gives. Relative, and inside its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category

from engine.errors import UnsafePath
from engine.graph.literals import brief

_LONGEST_PART = 255  # bytes, on every file system in use
_LONGEST_PATH = 4_096
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # devices of Windows
_FORBIDDEN = re.compile(r'[:*?"<>|]')  # streams and drives, and what Windows cannot store
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})  # control characters, marks of direction and the like, ends of lines and paragraphs
_JOINERS = "\u200c\u200d"  # unseen too, but Persian is written with them, and emoji are made of them


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a relative path, `/` and `\\` both separating; raises UnsafePath for a name that could mean anything else."""
    if not isinstance(name, str) or not name or len(name) > _LONGEST_PATH:
        raise _unsafe(name, "it is empty or too long")
    parts = tuple(name.replace("\\", "/").split("/"))
    if parts[0] == "":
        raise _unsafe(name, "it is absolute")
    for part in parts:
        _check_part(name, part)
    return parts


def _check_part(name: str, part: str) -> None:
    if part in ("", ".", ".."):
        raise _unsafe(name, f"it has the part {part!r}")
    found = _FORBIDDEN.search(part)
    if found:
        raise _unsafe(name, f"it contains {found[0]!r}")
    if not part.isprintable() and any(category(letter) in _UNSEEN and letter not in _JOINERS for letter in part):
        raise _unsafe(name, "it contains a character that cannot be seen")
    if part[-1] in " ." or part[0] == " ":
        raise _unsafe(name, "a part of it starts with a space, or ends with a space or a dot")
    if _RESERVED.fullmatch(part.split(".", 1)[0].rstrip()):
        raise _unsafe(name, f"{part!r} is the name of a device on Windows")
    try:
        size = len(part.encode())
    except UnicodeEncodeError as error:
        raise _unsafe(name, "it has half a character") from error
    if size > _LONGEST_PART:
        raise _unsafe(name, f"a part of it has {size} bytes, more than {_LONGEST_PART}")


def inside(root: Path, name: str, allowed: Iterable[Path] = ()) -> Path:
    """The path `name` below `root`, existing or not; raises UnsafePath when it leaves.

    A symbolic link may lead to a place in `root` or in one of the `allowed` folders, nowhere else. `root` itself may be a link.
    """
    path = root.joinpath(*parts_of(name))
    try:
        real = path.resolve()
        homes = [folder.resolve() for folder in (root, *allowed)]
    except (OSError, RuntimeError) as error:  # RuntimeError: a ring of links
        raise _unsafe(name, f"it cannot be followed ({error.__class__.__name__})") from error
    if not any(real == home or home in real.parents for home in homes):
        raise _unsafe(name, "a symbolic link in it leaves the folder", "Add the folder that it leads to to the model folders.")
    return path


def _unsafe(name: object, reason: str, hint: str = "Use a relative path inside the folder, such as sub/file.png.") -> UnsafePath:
    return UnsafePath(f"The file name {brief(name)} is refused: {reason}.", hint=hint)

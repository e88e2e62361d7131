"""Rules of the house that a program can check."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCE_FOLDERS = ("engine", "nodes", "tools", "bench", "tests", "web")
MOST_LINES = 500
VAGUE_NAMES = {"utils", "helpers", "misc", "common"}
UNFINISHED = re.compile("|".join(["TO" + "DO", "FIX" + "ME", r"\bX" + "XX" + r"\b", "raise NotImplemented" + "Error"]))


def sources(*suffixes: str, folders: tuple[str, ...] = SOURCE_FOLDERS) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return sorted(found + [ROOT / "server.py"] * (".py" in suffixes and (ROOT / "server.py").is_file()))


def test_no_source_file_is_long() -> None:
    long = {
        str(path): lines
        for path in sources(".py", ".js", ".mjs", ".css", ".html")
        if (lines := path.read_text("utf-8").count("\n")) > MOST_LINES
    }
    assert not long


def test_no_module_hides_behind_a_vague_name() -> None:
    assert not [path for path in sources(".py", ".js", ".mjs") if path.stem in VAGUE_NAMES]


def test_nothing_is_left_unfinished() -> None:
    marked = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources(".py", ".js", ".mjs", ".css", ".html")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not marked


@pytest.mark.parametrize("folder", ["engine", "nodes", "tools", "bench"])
def test_nothing_from_outside_can_become_code(folder: str) -> None:
    found = [f"{path.relative_to(ROOT)}:{line}: {what}" for path in sources(".py", folders=(folder,)) for line, what in unsafe(path)]
    assert not found


FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "pip", "ensurepip"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
FORBIDDEN_ARGUMENTS = {"shell", "trust_remote_code", "allow_pickle"}


def unsafe(path: Path) -> Iterator[tuple[int, str]]:
    """The places of a module that could run code or a command that came from outside."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {alias.name}") for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_IMPORTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_IMPORTS:
            yield node.lineno, f"from {node.module} import"
        elif isinstance(node, ast.Call):
            only_weights = any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in node.keywords)
            if ast.unparse(node.func) in FORBIDDEN_CALLS and not only_weights:
                yield node.lineno, f"{ast.unparse(node.func)}(...)"
            for keyword in node.keywords:
                if keyword.arg in FORBIDDEN_ARGUMENTS and getattr(keyword.value, "value", None) is not False:
                    yield node.lineno, f"{keyword.arg}="


def test_the_search_for_unsafe_places_finds_them(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    lines = ["import pickle", "eval('1')", "run('ls', shell=True)", "torch.load('x')", "run(['ls'])", "model.eval()"]
    module.write_text("\n".join([*lines, "torch.load('x', weights_only=True)"]))
    assert [line for line, _ in unsafe(module)] == [1, 2, 3, 4]


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    pattern = re.compile(r"pytest\.(skip|xfail|importorskip)|mark\.(skip|skipif|xfail)\b|test\.skip")
    assert not [
        path
        for path in sources(".py", ".js", ".mjs", folders=("tests",))
        if path != Path(__file__) and pattern.search(path.read_text("utf-8"))
    ]


HEAVY = ("torch", "diffusers", "transformers", "peft", "numpy", "PIL")


def loaded_after(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of the named packages a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys; print([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_the_command_answers_without_the_heavy_libraries() -> None:
    assert loaded_after("import engine.cli.main", (*HEAVY, "aiohttp", "networkx")) == []


def test_no_dependency_asks_for_torchvision() -> None:
    """A torchvision that does not match torch breaks the import of transformers."""
    asked = dependencies_of("easel", set())
    assert "torch" in asked
    assert "torchvision" not in asked


def dependencies_of(name: str, seen: set[str]) -> set[str]:
    """Adds to `seen` what pip installs along with a distribution, its extras left out."""
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return seen
    for requirement in map(Requirement, requirements):
        if requirement.name not in seen and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            seen.add(requirement.name)
            dependencies_of(requirement.name, seen)
    return seen

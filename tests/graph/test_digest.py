"""What makes a node run again, and what the records say about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MissingFile
from engine.graph import Folders, Registry, code_version
from engine.graph.cache import Cache
from engine.graph.code_version import CodeVersions
from engine.graph.digest import Opaque, literal_bytes
from engine.graph.records import RecordStore
from tests.graph import traced_nodes
from tests.graph.conftest import graph, reasons

ROOT = Path(__file__).parents[2]

literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


# -- literals


@given(literals, literals)
def test_different_literals_have_different_bytes(a, b):
    def typed(value):
        if isinstance(value, list):
            return [typed(item) for item in value]
        if isinstance(value, dict):
            return {key: typed(item) for key, item in value.items()}
        return (type(value).__name__, repr(value))

    assert (literal_bytes(a) == literal_bytes(b)) == (typed(a) == typed(b))


def test_order_of_keys_and_kind_of_sequence_do_not_count():
    assert literal_bytes({"a": 1, "b": [1, 2]}) == literal_bytes({"b": (1, 2), "a": 1})
    assert len({literal_bytes(value) for value in (1, 1.0, True, "1", [1], None, b"1")}) == 7


def test_a_deep_literal_does_not_recurse_and_an_object_is_refused():
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    assert literal_bytes(deep)
    with pytest.raises(Opaque):
        literal_bytes([object()])


# -- code


def version_of(folder: Path, module: str) -> str:
    return CodeVersions({"engine": folder / "engine", "nodes": folder / "nodes"}).of(module)


@pytest.fixture
def sources(tmp_path):
    """A copy of this project's sources."""
    for package in ("engine", "nodes"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__", "data", "models"))
    return tmp_path


def test_the_sources_that_count_for_sampling():
    reached = CodeVersions({"engine": ROOT / "engine", "nodes": ROOT / "nodes"}).reached("nodes.sampling")
    assert "engine.diffusion.sampling.samplers.euler" in reached and "engine.values.latent" in reached
    assert not any(name.startswith(("engine.graph", "engine.server", "nodes.image")) for name in reached)


def test_editing_a_sampler_changes_the_version_of_sampling_only(sources):
    before = {name: version_of(sources, f"nodes.{name}") for name in ("sampling", "text", "image")}
    sampler = sources / "engine/diffusion/sampling/samplers/euler.py"
    sampler.write_text(sampler.read_text() + "\nEXTRA = 1\n")
    after = {name: version_of(sources, f"nodes.{name}") for name in before}
    assert after["sampling"] != before["sampling"]
    assert after["text"] == before["text"] and after["image"] == before["image"]


@pytest.mark.parametrize("file", ["engine/graph/executor.py", "engine/settings.py", "nodes/text.py"])
def test_editing_what_sampling_does_not_reach_changes_nothing(sources, file):
    before = version_of(sources, "nodes.sampling")
    (sources / file).write_text((sources / file).read_text() + "\nEXTRA = 1\n")
    assert version_of(sources, "nodes.sampling") == before


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        ("x = 2\n", True),
        ("# a comment\nx = 1\n", False),
        ('"""What it is."""\n\nx = 1\n', False),
        ("x   =   1\n", False),
        ("x = 1.0\n", True),
        ("x = 1\n\n\ndef f():\n    return 1\n", True),
    ],
)
def test_only_what_runs_counts_in_a_source(tmp_path, edit, counts):
    module = tmp_path / "pack.py"
    module.write_text("x = 1\n")
    before = CodeVersions({"pack": module}).of("pack")
    module.write_text(edit)
    assert (CodeVersions({"pack": module}).of("pack") != before) == counts


@pytest.mark.parametrize(
    "line",
    [
        "import pack.inner",
        "from pack import inner",
        "from . import inner",
        "from .inner import x",
        "def f():\n    from pack.inner import x",
        "import importlib\nimportlib.import_module('pack.inner')",
        "try:\n    import pack.inner\nexcept ImportError:\n    pass",
    ],
)
def test_every_way_of_importing_reaches(tmp_path, line):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("x = 1\n")
    (package / "nodes.py").write_text(line + "\n")
    assert CodeVersions({"pack": package}).reached("pack.nodes") == ("pack", "pack.inner", "pack.nodes")


def test_imports_in_a_circle_and_sources_that_do_not_parse(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pack.types\n")
    (package / "a.py").write_text("import pack.b\n")
    (package / "b.py").write_text("import pack.a, pack.broken\n")
    (package / "types.py").write_text("")
    (package / "broken.py").write_text("def (:\n")
    versions = CodeVersions({"pack": package})
    assert versions.reached("pack.a") == ("pack", "pack.a", "pack.b", "pack.broken")
    assert versions.of("pack.a") and versions.of("pack.a") != versions.of("pack.broken")
    assert versions.of("pack.absent") == ""


def test_a_pack_of_a_custom_nodes_folder_has_the_version_of_its_files(tmp_path):
    pack = tmp_path / "colours"
    pack.mkdir()
    (pack / "__init__.py").write_text(
        """
from engine.graph import node

@node("Red", category="test")
def red() -> int:
    from .shades import dark
    return dark
"""
    )
    (pack / "shades.py").write_text("dark = 1\n")
    registry = Registry()
    registry.load_folder(tmp_path)
    module = registry.definition("Red").info.module
    versions = CodeVersions()
    assert {module, f"{module}.shades"} <= set(versions.reached(module))
    before = versions.of(module)
    (pack / "shades.py").write_text("dark = 2\n")
    assert before and CodeVersions().of(module) not in ("", before)


def test_code_that_was_changed_after_it_was_loaded_has_no_version(tmp_path):
    """What runs is the old code: its results must not be found under the new code's name after a restart."""
    (tmp_path / "pack.py").write_text("dark = 1\n")
    versions = CodeVersions({"pack": tmp_path / "pack.py"})
    (tmp_path / "pack.py").write_text("dark = 2\n")
    os.utime(tmp_path / "pack.py", (time.time() + 60,) * 2)  # surely after the versions were made
    assert versions.of("pack") == ""
    os.utime(tmp_path / "pack.py", (time.time() - 60,) * 2)
    assert CodeVersions({"pack": tmp_path / "pack.py"}).of("pack")


def test_versions_are_kept_by_modification_time(sources, tmp_path, monkeypatch):
    store = tmp_path / "code.json"
    packages = {"engine": sources / "engine", "nodes": sources / "nodes"}
    first = CodeVersions(packages, store).of("nodes.sampling")
    with monkeypatch.context() as patched:
        patched.delattr(code_version, "read_source")
        assert CodeVersions(packages, store).of("nodes.sampling") == first
    euler = sources / "engine/diffusion/sampling/samplers/euler.py"
    euler.write_text(euler.read_text() + "\nEXTRA = 1\n")
    assert CodeVersions(packages, store).of("nodes.sampling") != first
    store.write_text("{ruined")
    assert CodeVersions(packages, store).of("nodes.sampling") != first


SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from engine.graph import Graph, Link, Node, Registry
from engine.graph.cache import Cache
from engine.graph.disk_tier import DiskTier
from engine.graph.executor import Executor
from engine.graph.records import RecordStore

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import drawing.nodes

registry = Registry()
registry.add_module(drawing.nodes)
executor = Executor(registry, Cache(disk=DiskTier(folder / "cache"), records=RecordStore(folder / "records.sqlite")))
graph = Graph({"seed": Node("seed", "Seed", {}), "sampler": Node("sampler", "Sample", {"seed": Link("seed", 0)})})
outcome = asyncio.run(executor.run(graph, ["sampler"], keep_values=True))
executor.close()
print(json.dumps([outcome.values["sampler"], {name: record.reason for name, record in outcome.records.items()}, drawing.nodes.RAN]))
"""
PACK = {
    "__init__.py": "",
    "nodes.py": """
import time
from engine.graph import node
from drawing import sampler
RAN = []
@node("Seed", category="drawing")
def seed() -> int:
    RAN.append("Seed")
    time.sleep(0.06)
    return 7
@node("Sample", category="drawing")
def sample(seed: int) -> int:
    RAN.append("Sample")
    time.sleep(0.06)
    return sampler.sample(seed)
""",
    "sampler.py": "def sample(seed):\n    return seed * 2\n",
    "unrelated.py": "x = 1\n",
}


def test_an_edited_sampler_runs_again_after_a_restart_and_nothing_else_does(tmp_path):
    package = tmp_path / "drawing"
    package.mkdir()
    for name, text in PACK.items():
        (package / name).write_text(text)

    def start():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=environment, check=False)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    assert start() == [[[14]], {"seed": "first run", "sampler": "first run"}, ["Seed", "Sample"]]
    assert start() == [[[14]], {"sampler": "hit disk", "seed": "hit disk"}, []]
    (package / "unrelated.py").write_text("x = 2\n")
    (package / "sampler.py").write_text("# twice\n" + PACK["sampler.py"])
    assert start()[2] == []
    (package / "sampler.py").write_text("def sample(seed):\n    return seed * 3\n")
    value, why, ran = start()
    assert value == [[21]] and ran == ["Seed", "Sample"]  # both nodes live in the module that imports the sampler
    assert why == {"seed": "code changed", "sampler": "code changed, upstream seed changed"}


# -- numerics, policies, fingerprints


def test_other_numerics_are_another_computation(lab):
    cache = Cache()
    wanted = graph(a=("Number", {"value": 1}))
    for dtype, calls in (("float32", 1), ("bfloat16", 1), ("float32", 0)):
        lab.renew(cache, numerics={"dtype": dtype})
        lab.run(wanted, "a")
        assert len(lab.calls) == calls


def test_always_run_runs_always_and_so_does_what_follows(lab):
    wanted = graph(r=("Random",), s=("Scale", {"value": "@r"}), a=("Number", {"value": 1}), out=("Pair", {"a": "@a", "b": "@s"}))
    lab.run(wanted, "out")
    outcome = lab.run(wanted, "out")
    assert [call[0] for call in lab.calls] == ["Random", "Scale", "Pair"]
    assert reasons(outcome)["r"] == "always runs" and reasons(outcome)["a"] == "hit memory"
    two = graph(r=("Random",), q=("Random",), out=("Pair", {"a": "@r", "b": "@q"}))
    lab.run(two, "out")
    assert lab.called("Random") == 2


def test_literals_of_an_ignored_node_do_not_count_for_its_consumers(lab):
    def wanted(key):
        return graph(a=("Number", {"value": 2}), s=("Secret", {"value": "@a", "key": key}), x=("Add", {"a": "@s"}))

    assert lab.value(wanted("old"), "x") == 21
    assert lab.value(wanted("new"), "x") == 21 and lab.calls == []


def test_a_fingerprint_decides_whether_a_value_holds(lab):
    wanted = graph(f=("Fact", {"name": "sky"}), out=("Show", {"value": "@f"}), other=("Show", {"value": 3}))
    traced_nodes.FACTS["sky"] = "blue"
    assert lab.run(wanted, "out").ui["out"] == {"text": ["blue"]}
    lab.run(wanted, "out")
    assert lab.calls == []
    traced_nodes.FACTS["sky"] = "grey"
    outcome = lab.run(wanted, "out")
    assert outcome.ui["out"] == {"text": ["grey"]} and lab.called("Fact") == 1
    assert reasons(outcome)["f"] == "file changed (fingerprint)" and reasons(outcome)["out"] == "upstream f changed"
    traced_nodes.FACTS["sky"] = OSError("no sky")
    outcome = lab.run(wanted, "out", "other")
    assert outcome.state == "failed" and "no sky" in outcome.error.message and outcome.error.node_id == "f" and "other" in outcome.ui
    traced_nodes.FACTS["sky"] = None
    lab.run(wanted, "out")
    lab.run(wanted, "out")
    assert lab.called("Fact") == 1


def test_a_fingerprint_of_a_linked_value_is_taken_when_the_value_is_there(lab):
    wanted = graph(n=("Join", {"words0": "sea"}), f=("Fact", {"name": "@n"}), x=("Join", {"words0": "@f"}))
    traced_nodes.FACTS["sea"] = "calm"
    assert lab.value(wanted, "x") == "calm"
    assert lab.value(wanted, "x") == "calm" and lab.calls == []
    traced_nodes.FACTS["sea"] = "rough"
    assert lab.value(wanted, "x") == "rough" and lab.called("Fact") == 1


def test_a_file_counts_by_its_content(lab, tmp_path):
    folders = Folders(tmp_path)
    folders.create()
    lab.renew(folders=folders)
    file = folders.input / "note.png"
    file.write_bytes(b"one")
    wanted = graph(r=("ReadInput", {"name": "note.png"}), out=("Show", {"value": "@r"}), other=("Show", {"value": 1}))
    assert lab.run(wanted, "out").ui["out"] == {"text": ["one"]}
    os.utime(file, (1, 1))
    lab.run(wanted, "out")
    assert lab.calls == []
    file.write_bytes(b"two")
    outcome = lab.run(wanted, "out")
    assert outcome.ui["out"] == {"text": ["two"]} and reasons(outcome)["r"] == "file changed (name)"
    file.unlink()
    outcome = lab.run(wanted, "out", "other")
    assert isinstance(outcome.error, MissingFile) and outcome.error.node_id == "r" and "other" in outcome.ui


# -- why


def test_the_record_of_each_node_says_why_it_ran(lab):
    def wanted(value=1, b=2, source="@a"):
        return graph(
            a=("Number", {"value": value}), c=("Number", {"value": 50}), x=("Add", {"a": source, "b": b}), out=("Show", {"value": "@x"})
        )

    assert reasons(lab.run(wanted(), "out")) == {"a": "first run", "x": "first run", "out": "first run"}
    assert reasons(lab.run(wanted(), "out")) == {"a": "hit memory", "x": "hit memory", "out": "hit memory"}
    assert reasons(lab.run(wanted(b=3), "out")) == {"a": "hit memory", "x": "input b changed 2 -> 3", "out": "upstream x changed"}
    assert reasons(lab.run(wanted(value=9, b=3), "out"))["a"] == "input value changed 1 -> 9"
    assert reasons(lab.run(wanted(value=9, b=3, source="@c"), "out"))["x"] == "input a now comes from c"
    assert reasons(lab.run(wanted(value=9, b=3, source=4), "out"))["x"] == "input a is no longer linked"
    lab.executor.cache.clear()
    assert reasons(lab.run(wanted(value=9, b=3, source=4), "out"))["x"] == "not in cache"


def test_records_are_kept_and_can_be_read_by_job(lab, tmp_path):
    from engine.graph import JobInfo

    lab.renew(Cache(records=RecordStore(tmp_path / "records.sqlite")))
    lab.run(graph(a=("Number", {"value": 1}), x=("Add", {"a": "@a"})), "x", job=JobInfo(id="j1"))
    lab.executor.close()  # what is remembered for the next run is written after the end of this one
    lab.renew(Cache(records=RecordStore(tmp_path / "records.sqlite")))
    outcome = lab.run(graph(a=("Number", {"value": 1}), x=("Add", {"a": "@a", "b": 7})), "x", job=JobInfo(id="j2"))
    assert reasons(outcome) == {"a": "not in cache", "x": "input b changed 1 -> 7"}
    kept = lab.executor.cache.records.of_job("j1")
    assert [(record.node_id, record.class_type, record.reason, record.cached) for record in kept] == [
        ("a", "Number", "first run", False), ("x", "Add", "first run", False)
    ]  # fmt: skip
    assert lab.executor.cache.records.of_job("nothing") == []


def test_a_long_text_is_shortened_in_the_record(lab):
    lab.run(graph(j=("Join", {"words0": "x" * 10_000})), "j")
    reason = reasons(lab.run(graph(j=("Join", {"words0": "y" * 10_000})), "j"))["j"]
    assert "10000 characters" in reason and len(reason) < 300

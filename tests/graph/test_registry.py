"""Collecting nodes: packages, packs in folders, duplicates, and packs that fail."""

from __future__ import annotations

import sys
import types

import pytest

from engine.errors import InvalidNode, MissingNode
from engine.graph import Alias, Registry, node
from tests.graph import sample_nodes

GOOD = """
from engine.graph import node

@node("{id}", category="pack")
def run(x: int = 1) -> int:
    return x
"""


@pytest.fixture
def registry():
    found = Registry()
    found.add_module(sample_nodes)
    return found


@pytest.fixture(autouse=True)
def _forget_packs():
    yield
    for name in [name for name in sys.modules if name.startswith(("easel_custom_nodes", "sample_pack"))]:
        del sys.modules[name]


def module_with(**functions) -> types.ModuleType:
    module = types.ModuleType("sample_pack_module")
    for name, function in functions.items():
        function.definition.info.__dict__["module"] = module.__name__
        setattr(module, name, function)
    return module


def declared(id, **options):
    def run(x: int = 1) -> int:
        return x

    return node(id, category="tests", **options)(run)


def test_a_module_gives_its_nodes(registry):
    assert registry.definition("KSampler").info.category == "sampling"
    assert "LoadCheckpoint" in registry.definitions and "CheckpointLoaderSimple" not in registry.definitions
    assert registry.folder_keys() == ("checkpoints", "input:image")


def test_the_catalogue_answers_to_aliases(registry):
    info, alias = registry.catalogue().find("CheckpointLoaderSimple")
    assert info.id == "LoadCheckpoint" and alias.inputs == {"ckpt_name": "checkpoint"}
    assert registry.catalogue().find("Nothing") is None
    assert "CheckpointLoaderSimple" in list(registry.catalogue().ids())


def test_code_versions_enter_the_catalogue(registry):
    found = registry.catalogue({"checkpoints": ("a",)}, code_version=lambda definition: f"v-{definition.info.id}")
    assert found.nodes["KSampler"].code_version == "v-KSampler" and found.files == {"checkpoints": ("a",)}
    assert registry.definition("KSampler").info.code_version == ""


def test_an_unknown_id_is_named_with_its_neighbour(registry):
    with pytest.raises(MissingNode) as caught:
        registry.definition("KSamplr")
    assert "KSamplr" in caught.value.message and "KSampler" in caught.value.hint


@pytest.mark.parametrize(
    "second", [declared("KSampler"), declared("Mine", aliases=(Alias("KSampler"),)), declared("CheckpointLoaderSimple")]
)
def test_a_duplicate_names_both_places_and_changes_nothing(registry, second):
    before = dict(registry.definitions)
    with pytest.raises(InvalidNode) as caught:
        registry.add_module(module_with(first=declared("Fresh"), second=second))
    assert "tests.graph.sample_nodes" in caught.value.message and "declared.<locals>.run" in caught.value.message
    assert registry.definitions == before


def test_adding_the_same_module_twice_is_harmless(registry):
    before = list(registry.definitions)
    registry.add_module(sample_nodes)
    assert list(registry.definitions) == before


def test_packs_of_a_folder_are_loaded_and_failures_are_listed(tmp_path):
    (tmp_path / "good.py").write_text(GOOD.format(id="FromFile"))
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from .inner import run\n")
    (tmp_path / "pack" / "inner.py").write_text(GOOD.format(id="FromPackage"))
    (tmp_path / "broken.py").write_text("import module_that_is_not_there\n")
    (tmp_path / "wrong.py").write_text(GOOD.format(id="Two Words"))
    (tmp_path / "twice.py").write_text(GOOD.format(id="FromFile"))
    (tmp_path / "old.disabled").mkdir()
    (tmp_path / "old.disabled" / "__init__.py").write_text("raise SystemError\n")
    (tmp_path / "notes.txt").write_text("no pack")
    registry = Registry()
    registry.load_folder(tmp_path)
    assert set(registry.definitions) == {"FromFile", "FromPackage"}
    assert set(registry.failures) == {f"easel_custom_nodes.{name}" for name in ("broken", "wrong", "twice")}
    assert "module_that_is_not_there" in registry.failures["easel_custom_nodes.broken"]
    assert "one word" in registry.failures["easel_custom_nodes.wrong"]
    assert registry.catalogue().failures == registry.failures


def test_a_missing_folder_is_no_error(tmp_path):
    registry = Registry()
    registry.load_folder(tmp_path / "nothing")
    assert registry.failures == {}


def test_a_package_is_read_with_all_its_modules(tmp_path, monkeypatch):
    pack = tmp_path / "sample_pack"
    pack.mkdir()
    (pack / "__init__.py").write_text("")
    (pack / "first.py").write_text(GOOD.format(id="First"))
    (pack / "second.py").write_text("from sample_pack.first import run\n" + GOOD.format(id="Second").replace("def run", "def go"))
    (pack / "third.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.load_package("sample_pack")
    assert set(registry.definitions) == {"First", "Second"}
    assert registry.failures == {"sample_pack.third": "ZeroDivisionError: division by zero"}


def test_a_single_module_may_be_named_as_a_package(tmp_path, monkeypatch):
    (tmp_path / "sample_module.py").write_text(GOOD.format(id="Alone"))
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.load_package("sample_module")
    assert set(registry.definitions) == {"Alone"} and registry.failures == {}

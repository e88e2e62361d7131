"""The two tiers: what is kept, for how long, what survives a restart, and that nothing damaged is ever returned."""

from __future__ import annotations

import io
import os
import sqlite3

import numpy
import pytest

from engine.graph import Folders, port
from engine.graph.cache import Cache
from engine.graph.disk_tier import DiskTier
from engine.graph.items import Item, Result, item_key
from engine.graph.memory_tier import MemoryTier
from engine.graph.records import RecordStore
from tests.graph.conftest import Laboratory, graph, reasons


class ArrayStore:
    """A tensor store of numpy arrays."""

    def write(self, path, tensors):
        with path.open("wb") as file:
            numpy.savez(file, **tensors)

    def read(self, data):
        with numpy.load(io.BytesIO(data)) as archive:
            return dict(archive)


def digest_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def result_of(value, number: int = 0, seconds: float = 0.001) -> Result:
    return Result(((Item(value, item_key(digest_of(number), 0)),),), seconds=seconds)


# -- memory


def test_memory_is_bounded_in_bytes_and_the_oldest_leaves_first():
    tier = MemoryTier(10 * 100_000)
    for number in range(20):
        tier.put(digest_of(number), result_of(numpy.zeros(90_000, "uint8"), number))
        if number >= 5:
            assert tier.get(digest_of(0)) is not None
    assert tier.bytes <= 1_000_000 and len(tier) >= 9
    assert digest_of(19) in tier and digest_of(0) in tier and digest_of(3) not in tier


def test_a_costly_value_outlives_cheap_ones():
    tier = MemoryTier(1_000_000)
    tier.put(digest_of(0), result_of(numpy.zeros(90_000, "uint8"), seconds=20.0))
    for number in range(1, 50):
        tier.put(digest_of(number), result_of(numpy.zeros(90_000, "uint8"), number, seconds=0.001))
    assert digest_of(0) in tier
    for number in range(50, 80):
        tier.put(digest_of(number), result_of(numpy.zeros(90_000, "uint8"), number, seconds=40.0))
    assert digest_of(0) not in tier


def test_shared_storage_counts_once():
    tier = MemoryTier(10_000_000)
    shared = numpy.zeros(1_000_000, "uint8")
    for number in range(5):
        tier.put(digest_of(number), result_of({"weights": shared, "name": str(number)}, number))
    assert 1_000_000 < tier.bytes < 1_100_000
    for number in range(5):
        tier.remove(digest_of(number))
    assert tier.bytes == 0


def test_a_tensor_view_counts_with_the_storage_that_it_keeps_alive():
    import torch

    tier = MemoryTier(10_000_000)
    tier.put(digest_of(0), result_of(torch.zeros(1_000_000, dtype=torch.uint8)[:10]))
    assert tier.bytes > 1_000_000


def test_a_module_counts_with_its_weights():
    import torch

    tier = MemoryTier(100_000_000)
    tier.put(digest_of(0), result_of(torch.nn.Sequential(torch.nn.Linear(1000, 1000), torch.nn.Linear(1000, 1000))))
    assert tier.bytes > 8_000_000


def test_what_is_larger_than_the_tier_is_not_kept():
    tier = MemoryTier(1_000_000)
    tier.put(digest_of(1), result_of(1))
    tier.put(digest_of(2), result_of(numpy.zeros(2_000_000, "uint8")))
    assert digest_of(1) in tier and digest_of(2) not in tier


def test_an_evicted_value_is_computed_again(lab):
    lab.renew(Cache(memory_bytes=3_000))
    wanted = graph(**{f"n{i}": ("Number", {"value": i}) for i in range(20)})
    lab.run(wanted, *wanted.nodes)
    lab.run(wanted, *wanted.nodes)
    assert 15 <= lab.called("Number") <= 20


# -- disk


@pytest.fixture
def disk(tmp_path):
    """Makes laboratories over one cache folder, each as after a restart."""
    made = []

    def restart(**options):
        for laboratory in made:
            for executor in laboratory.executors:
                executor.close()
        made.clear()
        laboratory = Laboratory()
        laboratory.executors[0].close()
        laboratory.executors.clear()
        folders = Folders(tmp_path / "data")
        folders.create()
        tier = DiskTier(tmp_path / "cache", ArrayStore(), **{"minimum_seconds": 0.05, **options.pop("tier", {})})
        laboratory.renew(Cache(disk=tier, records=RecordStore(tmp_path / "records.sqlite"), **options), folders=folders)
        made.append(laboratory)
        return laboratory

    yield restart
    for laboratory in made:
        for executor in laboratory.executors:
            executor.close()


WANTED = graph(a=("MakeArray", {"size": 6}), s=("ArraySum", {"array": "@a"}), out=("SaveText", {"text": "@s"}))


def test_after_a_restart_nothing_runs_and_the_record_says_hit_disk(disk):
    lab = disk()
    first = lab.run(WANTED, "out")
    assert first.ui["out"]["files"][0]["filename"].startswith("note")
    lab = disk()
    outcome = lab.run(WANTED, "out", keep_values=False)
    assert lab.calls == [] and outcome.ui == first.ui
    assert reasons(outcome)["out"] == "hit disk" and reasons(outcome)["a"] == "hit disk"


def test_a_stored_value_feeds_what_is_new(disk):
    disk().run(WANTED, "out")
    lab = disk()
    assert lab.value(graph(a=("MakeArray", {"size": 6}), s=("ArraySum", {"array": "@a"})), "s") == 15.0
    assert lab.calls == [("ArraySum",)]


def test_what_is_quick_is_not_written_but_what_is_pinned_is(disk):
    lab = disk()
    wanted = graph(a=("Number", {"value": 3}), b=("Add", {"a": "@a"}))
    wanted.nodes["b"].meta["pinned"] = True
    lab.value(wanted, "b")
    lab = disk()
    assert lab.value(wanted, "b") == 4 and lab.calls == []
    assert lab.value(graph(a=("Number", {"value": 3})), "a") == 3 and lab.calls == [("Number", 3)]


@pytest.mark.parametrize("kind", [("Private", {"value": 2}), ("MakeArray", {"size": 3, "secret": True}), ("Random", {})])
def test_what_must_not_or_cannot_be_stored_runs_again(disk, kind):
    disk().run(graph(a=kind), "a")
    lab = disk()
    lab.run(graph(a=kind), "a")
    assert lab.called(kind[0]) == 1


def test_plain_values_keep_their_types(disk):
    lab = disk()
    wanted = graph(a=("Plain",))
    made = lab.value(wanted, "a")
    lab = disk()
    read = lab.value(wanted, "a")
    assert lab.calls == [] and read == made and [type(item) for item in read] == [type(item) for item in made]
    assert read[3] == (1, [2, (3,)]) and read[5] == b"\x00\xff"


def damage_truncate(path):
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)


def damage_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [damage_truncate, damage_byte, os.unlink], ids=["truncated", "altered", "deleted"])
def test_a_damaged_file_is_dropped_and_the_value_computed_again(disk, tmp_path, damage):
    disk().run(WANTED, "out")
    disk()  # everything is written and closed
    (file,) = (tmp_path / "cache").glob("??/*")
    damage(file)
    lab = disk()
    wanted = graph(a=("MakeArray", {"size": 6}), s=("ArraySum", {"array": "@a"}))
    assert lab.value(wanted, "s") == 15.0
    assert lab.calls == [("MakeArray", 6), ("ArraySum",)] and lab.executor.cache.stats()["disk"]["damaged"] == 1
    lab = disk()
    assert lab.value(graph(a=("MakeArray", {"size": 6}), s=("ArraySum", {"array": "@a"})), "s") == 15.0 and lab.calls == [("ArraySum",)]


def test_an_altered_row_is_dropped_and_the_value_computed_again(disk, tmp_path):
    wanted = graph(a=("Slow", {"value": 41}), b=("Add", {"a": "@a"}))
    disk().run(wanted, "b")
    disk()
    with sqlite3.connect(tmp_path / "cache" / "cache.sqlite") as database:
        database.execute("UPDATE entries SET payload = CAST(replace(CAST(payload AS TEXT), '41', '99') AS BLOB)")
    database.close()
    lab = disk()
    assert lab.value(wanted, "b") == 42 and lab.calls == [("Slow", 41), ("Add", 41, 1)]


def test_a_ruined_index_is_put_aside(disk, tmp_path):
    wanted = graph(a=("Slow", {"value": 1}))
    disk().run(wanted, "a")
    disk()
    for laboratory_file in (tmp_path / "cache").glob("cache.sqlite*"):
        laboratory_file.write_bytes(b"not a database at all" * 100)
    lab = disk()
    assert lab.value(wanted, "a") == 1 and lab.called("Slow") == 1
    assert list((tmp_path / "cache").glob("cache.sqlite.damaged"))
    lab = disk()
    assert lab.value(wanted, "a") == 1 and lab.calls == []


def test_the_disk_tier_is_bounded_and_spares_what_is_pinned(disk, tmp_path):
    lab = disk(tier={"limit": 60_000})
    pinned = graph(p=("MakeArray", {"size": 1_000, "name": "pinned"}))
    pinned.nodes["p"].meta["pinned"] = True
    lab.run(pinned, "p")
    for number in range(20):
        lab.run(graph(a=("MakeArray", {"size": 2_000 + number})), "a")
    lab.executor.cache.flush()
    stats = lab.executor.cache.stats()["disk"]
    assert stats["bytes"] <= 60_000 and 4 <= stats["entries"] < 8
    assert sum(file.stat().st_size for file in (tmp_path / "cache").glob("??/*")) <= 60_000
    lab = disk()
    lab.run(graph(a=("MakeArray", {"size": 2_019})), "a")
    assert lab.calls == []
    lab.run(pinned, "p")
    assert lab.calls == []
    lab.run(graph(a=("MakeArray", {"size": 2_000})), "a")
    assert lab.called("MakeArray") == 1


def test_a_workflow_that_pins_everything_does_not_fill_the_disk(disk, tmp_path):
    lab = disk(tier={"limit": 60_000})
    for number in range(20):
        pinned = graph(a=("MakeArray", {"size": 2_000 + number}))
        pinned.nodes["a"].meta["pinned"] = True
        lab.run(pinned, "a")
    lab.executor.cache.flush()
    stats = lab.executor.cache.stats()["disk"]
    assert 40_000 < stats["bytes"] <= 60_000
    assert sum(file.stat().st_size for file in (tmp_path / "cache").glob("??/*")) <= 60_000
    lab = disk()
    lab.run(pinned, "a")
    assert lab.calls == []


def test_files_that_no_entry_names_are_swept_at_the_start(disk, tmp_path):
    disk().run(WANTED, "out")
    disk()
    stray = tmp_path / "cache" / "zz" / "left.part"
    stray.parent.mkdir()
    stray.write_bytes(b"x")
    disk()
    assert not stray.exists() and len(list((tmp_path / "cache").glob("??/*"))) == 1


def test_results_of_lists_and_expansions_survive_a_restart(disk):
    wanted = graph(
        r=("Range", {"stop": 3}),
        s=("Slow", {"value": "@r"}),
        m=("MakeList", {"values0": "@s", "values1": 7}),
        start=("RepeatStart", {"value": "@m"}),
        w=("Slow", {"value": "@start:2"}),
        e=("RepeatEnd", {"loop": "@start", "value": "@w", "count": 2}),
    )
    wanted.nodes["m"].meta["pinned"] = True
    lab = disk()
    values = lab.run(wanted, "m", "e").values
    assert values["m"] == values["e"] == ((0, 1, 2, 7),)
    lab = disk()
    assert lab.run(wanted, "m").values["m"] == ((0, 1, 2, 7),) and lab.calls == []
    assert lab.run(wanted, "e").values["e"] == ((0, 1, 2, 7),)
    assert lab.called("Slow") == 0


def test_intermediates_can_be_kept_off_the_disk(disk, tmp_path):
    disk(store_intermediates=False).run(WANTED, "out")
    lab = disk(store_intermediates=False)
    assert not list((tmp_path / "cache").glob("??/*"))
    lab.run(WANTED, "out", keep_values=False)
    assert lab.calls == []


def test_deleting_a_job_deletes_what_only_it_used(disk, tmp_path):
    from engine.graph import JobInfo

    lab = disk()
    shared = ("MakeArray", {"size": 6})
    lab.run(graph(a=shared, mine=("MakeArray", {"size": 7, "name": "mine"})), "a", "mine", job=JobInfo(id="one"))
    lab.run(graph(a=shared), "a", job=JobInfo(id="two"))
    lab.executor.cache.forget_jobs(["one"])
    assert lab.executor.cache.records.of_job("one") == []
    assert len(list((tmp_path / "cache").glob("??/*"))) == 1
    lab.run(graph(a=shared, mine=("MakeArray", {"size": 7, "name": "mine"})), "a", "mine")
    assert lab.calls == [("MakeArray", 7)]


def test_many_jobs_are_forgotten_in_one_pass(disk, monkeypatch):
    from engine.graph import JobInfo, records

    lab = disk()
    for number in range(30):
        lab.run(graph(a=("MakeArray", {"size": 8 + number})), "a", job=JobInfo(id=str(number)))
    read = []
    unpack = records._unpack
    monkeypatch.setattr(records, "_unpack", lambda blob, default: read.append(blob) or unpack(blob, default))
    lab.executor.cache.forget_jobs([str(number) for number in range(20)])
    assert len(read) == 30
    assert [bool(lab.executor.cache.records.of_job(str(number))) for number in (0, 19, 20, 29)] == [False, False, True, True]


# -- output nodes


@pytest.mark.parametrize("change", ["deleted", "altered"])
@pytest.mark.parametrize("after_restart", [False, True])
def test_an_output_node_runs_again_only_when_its_file_is_gone_or_altered(disk, tmp_path, change, after_restart):
    lab = disk()
    outcome = lab.run(WANTED, "out")
    (record,) = outcome.ui["out"]["files"]
    lab.run(WANTED, "out")
    assert lab.calls == []
    file = tmp_path / "data" / "output" / record["subfolder"] / record["filename"]
    assert file.read_text() == "15.0"
    file.unlink() if change == "deleted" else file.write_text("66.6")
    if after_restart:
        lab = disk()
    outcome = lab.run(WANTED, "out")
    assert lab.called("SaveText") == 1 and lab.called("MakeArray") == 0
    assert reasons(outcome)["out"] == "file missing or altered"
    (record,) = outcome.ui["out"]["files"]
    assert (tmp_path / "data" / "output" / record["subfolder"] / record["filename"]).read_text() == "15.0"
    lab.run(WANTED, "out")
    assert lab.calls == []


def test_the_value_of_an_output_node_is_there_after_a_restart(disk):
    wanted = graph(a=("Slow", {"value": 5}), s=("ShowAndPass", {"value": "@a"}), x=("Add", {"a": "@s"}))
    assert disk().value(wanted, "x") == 6
    lab = disk()
    assert lab.value(wanted, "x") == 6 and lab.calls == [("Add", 5, 1)]


def test_a_codec_that_fails_leaves_its_value_out_and_the_others_in(tmp_path):
    @port("BROKEN", codec=BrokenCodec())
    class Broken:
        pass

    tier = DiskTier(tmp_path / "cache", ArrayStore(), minimum_seconds=0)
    tier.put(digest_of(1), result_of(Broken(), 1), ("BROKEN",))
    tier.put(digest_of(2), result_of(7, 2), ("INT",))
    tier.flush()
    assert digest_of(1) not in tier and digest_of(2) in tier
    tier.close()


class BrokenCodec:
    def encode(self, value):
        raise KeyError("name")

    def decode(self, tensors, metadata):
        raise KeyError("name")

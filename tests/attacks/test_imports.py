"""Files from elsewhere that try to break their readers or to keep them busy."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from engine.comfy.protocol.ui_workflow import read_ui_workflow
from engine.errors import InvalidInput, InvalidWorkflow
from engine.graph.graph import Link
from engine.graph.limits import DEFAULT_LIMITS
from engine.infotext.text import parse_infotext
from engine.infotext.workflow import MOST_MISSING, workflow_of
from engine.server.thumbnails import small


class NothingInstalled:
    def find(self, name: str) -> None:
        return None


def read(document: dict):
    return read_ui_workflow(document, NothingInstalled(), DEFAULT_LIMITS)[0]


@pytest.mark.parametrize("odd", [[1], {"a": 1}, 10**400, True, "x", None, 1e300])
def test_values_of_another_kind_break_no_workflow_of_the_editor(odd) -> None:
    node = {"id": 1, "type": "X", "mode": odd, "pos": [odd, odd], "size": odd, "flags": odd, "title": odd, "widgets_values": odd}
    node["inputs"] = [{"name": "a", "link": odd}, odd]
    document = {"nodes": [node], "links": [[odd, odd, odd], odd], "groups": [odd], "definitions": {"subgraphs": [{"id": odd}, odd]}}
    assert list(read(document).nodes) == ["1"]


def test_many_inputs_behind_a_long_chain_of_reroutes_take_no_time() -> None:
    length = 10_000
    nodes = [{"id": number, "type": "Reroute", "inputs": [{"link": number + 1}]} for number in range(length)]
    nodes.append({"id": "source", "type": "Source"})
    nodes.append({"id": "end", "type": "End", "inputs": [{"name": str(number), "link": 0} for number in range(length)]})
    links = [[number, number, 0] for number in range(length)] + [[length, "source", 0]]
    found = read({"nodes": nodes, "links": links}).nodes["end"].inputs
    assert len(found) == length and set(found.values()) == {Link("source", 0)}


def test_a_ring_of_reroutes_carries_nothing() -> None:
    nodes = [{"id": number, "type": "Reroute", "inputs": [{"link": 1 - number}]} for number in range(2)]
    nodes.append({"id": "end", "type": "End", "inputs": [{"name": "a", "link": 0}, {"name": "b", "link": 1}]})
    assert read({"nodes": nodes, "links": [[0, 0, 0], [1, 1, 0]]}).nodes["end"].inputs == {}


def test_groups_of_groups_do_not_multiply_without_end() -> None:
    """Each of ten levels shows ten times the sockets of the one inside: two kilobytes that would be ten thousand million."""
    groups = {"0": {"nodes": [{"type": "X", "inputs": [{"name": "a"}]}] * 10}}
    groups |= {str(level): {"nodes": [{"type": f"workflow>{level - 1}"}] * 10} for level in range(1, 10)}
    with pytest.raises(InvalidWorkflow, match="group nodes have more than"):
        read({"nodes": [{"id": 1, "type": "workflow>9"}], "extra": {"groupNodes": groups}})


@pytest.mark.parametrize("title", ["t" * 1_000_000, {"long": "t" * 1_000_000}])
def test_a_long_title_is_not_repeated_in_the_name_of_every_socket_of_a_group(title) -> None:
    nodes = [{"type": "X", "inputs": [{"name": str(number)} for number in range(10_000)]}] * 2
    group = {"nodes": [nodes[0], {**nodes[1], "title": title}]}
    found = read({"nodes": [{"id": 1, "type": "workflow>g"}], "extra": {"groupNodes": {"g": group}}})
    names = [name for definition in found.subgraphs.values() for name in definition.inputs]
    assert len(set(names)) == 20_000 and max(map(len, names)) < 300


COUNT = 10_000


def test_many_links_from_many_outputs_of_a_subgraph_take_no_time() -> None:
    links = [{"id": at, "origin_id": 1, "origin_slot": at, "target_id": -20, "target_slot": at} for at in range(COUNT)]
    inside = {"id": "s", "nodes": [{"id": 1, "type": "X"}], "links": links, "outputs": [{"name": str(at)} for at in range(COUNT)]}
    end = {"id": 2, "type": "Y", "inputs": [{"name": str(at), "link": at} for at in range(COUNT)]}
    outside = [[at, 1, at, 2, at] for at in range(COUNT)]
    document = {"nodes": [{"id": 1, "type": "s"}, end], "links": outside, "definitions": {"subgraphs": [inside]}}
    assert read(document).nodes["2"].inputs == {str(at): Link("1", at) for at in range(COUNT)}


def test_many_values_that_inputs_of_a_subgraph_set_take_no_time() -> None:
    slots = [{"name": str(at), "link": at} for at in range(COUNT)]
    node = {"id": 1, "type": "X", "inputs": slots, "widgets_values": {str(at): at for at in range(COUNT)}}
    links = [{"id": at, "origin_id": -10, "origin_slot": at, "target_id": 1, "target_slot": at} for at in range(COUNT)]
    inside = {"id": "s", "nodes": [node], "links": links, "inputs": [{"name": str(at)} for at in range(COUNT)]}
    found = read({"nodes": [{"id": 1, "type": "s"}], "definitions": {"subgraphs": [{**inside, "name": "s"}]}}).subgraphs["s"]
    assert [given["default"] for given in found.inputs.values()] == list(range(COUNT))


def test_white_space_in_an_infotext_takes_no_time() -> None:
    assert parse_infotext("Steps: 1\n(" + " " * 900_000 + "b").settings == {}


def test_of_thousands_of_missing_files_few_are_looked_for() -> None:
    calls = "".join(f"<lora:a{number}:1>" for number in range(40_000))
    words = ",".join(f"w{number}" for number in range(40_000))
    info = parse_infotext(f'{calls}\nSteps: 1, Sampler: Euler, Seed: 1, TI hashes: "{words}"')
    files = {folder: [f"a-file-{number}.safetensors" for number in range(100)] for folder in ("loras", "embeddings", "checkpoints")}
    missing = [note for note in workflow_of(info, files)[1] if note.startswith(("There is no LoRA", "There is no embedding"))]
    assert len(missing) == 2 * MOST_MISSING


def test_a_picture_with_damaged_exif_is_refused_not_stumbled_over() -> None:
    """An orientation to follow, and another tag whose kind contradicts its value."""
    entries = [struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHI4s", 0x0100, 2, 4, b"wide")]
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8)).save(buffer, "JPEG", exif=exif)
    with pytest.raises(InvalidInput):
        small(buffer, 64, 10_000)

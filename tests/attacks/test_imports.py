"""Files from elsewhere that try to break their readers or to keep them busy."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from engine.comfy.protocol.ui_workflow import read_ui_workflow
from engine.errors import InvalidInput
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

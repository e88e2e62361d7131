"""Pictures of other programs become workflows; whatever they carry, nothing takes long or much memory."""

import io
import json
import struct
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.diffusion.sampling.samplers import SAMPLERS
from engine.diffusion.sampling.schedules import SCHEDULER_NAMES
from engine.errors import InvalidInput, QuotaExceeded
from engine.graph.catalogue import Catalogue
from engine.graph.registry import Registry
from engine.graph.validation import validate
from engine.infotext import names
from engine.infotext.pictures import read_texts
from engine.infotext.text import parse_infotext
from engine.infotext.workflow import workflow_of

FILES = {
    "checkpoints": ("sub/v1-5-pruned.safetensors", "other.safetensors"),
    "loras": ("deep/night.safetensors",),
    "embeddings": ("bad.pt",),
}
LINE = (
    "Steps: 30, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, "
    "Model: v1-5-pruned, Clip skip: 2, RNG: CPU"
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    registry = Registry()
    registry.load_package("nodes")
    return registry.catalogue(FILES)


def imported(text: str):
    return workflow_of(parse_infotext(text), FILES)


def png(chunks: dict[str, str] | None = None, size=(8, 8)) -> bytes:
    info = PngInfo()
    for key, text in (chunks or {}).items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def texts(data: bytes) -> dict[str, str]:
    return dict(read_texts(io.BytesIO(data)).texts)


def test_every_name_of_ours_in_the_tables_exists():
    assert set(names.SAMPLERS.values()) | set(names.SUBSTITUTES.values()) <= set(SAMPLERS)
    assert set(names.SCHEDULES.values()) == set(SCHEDULER_NAMES)
    twice = {name for name in names.SECOND_ORDER if SAMPLERS[name].evaluations == 2}
    assert twice == names.SECOND_ORDER


def test_a_picture_of_a1111_becomes_a_workflow_that_is_valid(catalogue):
    workflow, notes = imported(texts(png({"parameters": f"a [red:blue:0.5] circle\nNegative prompt: ugly\n{LINE}"}))["parameters"])
    assert notes == []
    nodes = workflow.nodes
    assert nodes["checkpoint"].inputs == {"ckpt_name": "sub/v1-5-pruned.safetensors"}
    prompt = nodes["prompt"].inputs
    assert (prompt["positive"], prompt["negative"]) == ("a [red:blue:0.5] circle", "ugly")
    assert (prompt["steps"], prompt["second_order"], prompt["clip_skip"], prompt["variants"]) == (30, True, 2, False)
    assert nodes["latent"].inputs == {"width": 512, "height": 768, "batch_size": 1}
    sampler = nodes["sampler"].inputs
    assert [sampler[name] for name in ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")] == [
        42, 30, 7.5, "dpmpp_sde", "karras", 1.0,
    ]  # fmt: skip
    validated = validate(workflow.flatten(catalogue), catalogue, strict=True)
    assert validated.problems == () and validated.outputs


def test_a_hires_fix_becomes_a_second_pass(catalogue):
    line = f"{LINE}, Denoising strength: 0.5, Hires upscale: 1.5, Hires steps: 10, Hires upscaler: Latent (bicubic), Hires sampler: Euler"
    workflow, notes = imported(f'a\n{line}, Hires prompt: "b, c", Hires CFG Scale: 3')
    assert notes == []
    larger, second = workflow.nodes["larger"].inputs, workflow.nodes["prompt_2"].inputs
    assert (larger["scale_by"], larger["upscale_method"], larger["steps"], larger["denoise"], larger["cfg"]) == (
        1.5,
        "bicubic",
        6,
        0.5,
        3.0,
    )
    assert (larger["sampler_name"], second["second_order"]) == ("euler", False)
    assert (second["positive"], second["steps"], second["first_pass_steps"]) == ("b, c", 10, 30)
    assert validate(workflow.flatten(catalogue), catalogue, strict=True).problems == ()


def test_what_is_missing_or_left_out_is_said(catalogue):
    line = LINE.replace("v1-5-pruned", "v1-5-prunned").replace(", RNG: CPU", "")
    workflow, notes = imported(
        f'<lora:nigth:1> <lora:night:1> a\n{line}, Denoising strength: 0.6, Tiling: True, TI hashes: "bad: 1, worse: 2"'
    )
    text = "\n".join(notes)
    assert "v1-5-prunned" not in text, "the check of the workflow says that"
    assert "no LoRA 'nigth'" in text and "night" in text and "no embedding 'worse'" in text
    assert "Tiling" in text and "0.6" in text and "RNG" in text
    assert workflow.nodes["checkpoint"].inputs["ckpt_name"] == "v1-5-prunned.safetensors"
    [problem] = validate(workflow.flatten(catalogue), catalogue, strict=True).problems
    assert (problem.node_id, problem.input, problem.code) == ("checkpoint", "ckpt_name", "value_not_in_list")


BROKEN = {
    "Steps": ["-1", "0", "abc", "1e99", "9" * 400, "nan", "20.5", ""],
    "Seed": ["-1", "18446744073709551616", "1.5e3", "x"],
    "CFG scale": ["inf", "-7", "1e3", "7,5"],
    "Size": ["0x0", "512", "99999x99999", "513x511", "axb", "-8x8"],
    "Clip skip": ["0", "99", "two"],
    "Sampler": ["", "x" * 10_000, "Euler\u0000"],
    "Model": ["", "../../etc/passwd", "a/b\\c", "x" * 10_000],
    "Hires upscale": ["0", "1000", "nan"],
    "Denoising strength": ["2", "-1", "?"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BROKEN.items() for value in values])
def test_broken_values_give_a_workflow_all_the_same(catalogue, name, value):
    settings_ = {"Steps": "20", "Sampler": "Euler", "Seed": "1", "Size": "64x64", "Model": "other", "Hires upscale": "2"}
    text = ", ".join(f"{key}: {json.dumps(each)}" for key, each in {**settings_, name: value}.items())
    workflow, _ = imported(f"a prompt\n{text}")
    problems = validate(workflow.flatten(catalogue), catalogue, strict=True).problems
    assert {problem.input for problem in problems} <= ({"ckpt_name"} if name == "Model" else set())


@settings(max_examples=200)
@given(
    st.text(max_size=100),
    st.lists(st.tuples(st.sampled_from([*BROKEN, "Hires steps", "RNG", "Emphasis"]), st.text(max_size=20)), max_size=8),
)
def test_any_settings_give_a_workflow(prompt, pairs):
    line = ", ".join(f"{key}: {json.dumps(value)}" for key, value in pairs)
    workflow, notes = imported(f"{prompt}\n{line}")
    assert "sampler" in workflow.nodes and all(isinstance(note, str) for note in notes)
    json.loads(workflow.dumps())


def test_texts_are_found_in_jpeg_and_webp_and_behind_the_pixels():
    comment = b"UNICODE\0" + f"ein Käse\n{LINE}".encode("utf-16-be")
    for kind in ("JPEG", "WEBP"):
        picture = Image.new("RGB", (8, 8))
        exif = picture.getexif()
        exif.get_ifd(0x8769)[0x9286] = comment
        buffer = io.BytesIO()
        picture.save(buffer, kind, exif=exif)
        assert texts(buffer.getvalue())["parameters"].startswith("ein Käse\nSteps: 30")
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = 'prompt:{"1": 2}', "workflow:no"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", exif=exif)
    assert texts(buffer.getvalue()) == {"prompt": '{"1": 2}', "workflow": "no"}
    plain = png()
    assert texts(plain[:-12] + chunk(b"tEXt", b"parameters\0late") + plain[-12:]) == {"parameters": "late"}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_compressed_texts_that_unpack_to_much_are_refused(kind):
    packed = zlib.compress(bytes(300_000_000), 9)
    body = b"parameters\0\0" + packed if kind == b"zTXt" else b"parameters\0\1\0\0\0" + packed
    plain = png()
    data = plain[:33] + chunk(kind, body) + plain[33:]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput):
            texts(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_many_compressed_texts_are_refused_together():
    body = b"parameters\0\0" + zlib.compress(bytes(1_000_000), 9)
    plain = png()
    with pytest.raises(InvalidInput):
        texts(plain[:33] + chunk(b"zTXt", body) * 100 + plain[33:])


def test_a_large_picture_is_refused_before_it_is_decoded():
    with pytest.raises(QuotaExceeded):
        read_texts(io.BytesIO(png(size=(300, 300))), max_pixels=10_000)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", png()[:30], b"GIF89a" + bytes(20)])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(InvalidInput):
        texts(data)


def test_a_picture_without_texts_has_none():
    assert texts(png()) == {}


@pytest.mark.parametrize("piece", ["a", "aa: ", 'aa: "', 'aa: "\\', ", ", "<lora:", "Negative prompt:", "\n", "aa: 1, "])
def test_time_grows_linearly_with_the_text(piece):
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = time.process_time()
        imported(text)
        imported(f"{text}\n{LINE}, {text}")
        return time.process_time() - started

    small, large = (min(seconds(length) for _ in range(2)) for length in (5_000, 50_000))
    assert large < 40 * max(small, 0.005)

"""From pictures to a LoRA in use, without leaving the page."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect
from safetensors.numpy import save_file

from .conftest import Server, ready

pytestmark = pytest.mark.browser


def pictures(folder: Path, count: int = 4) -> list[str]:
    made = []
    for number in range(count):
        picture = Image.new("RGB", (128, 128) if number else (192, 96), "white")
        ImageDraw.Draw(picture).polygon([(64, 20 + number), (90, 90), (28, 90)], fill="purple")
        made.append(str(folder / f"{number}.png"))
        picture.save(made[-1])
    return made


def begin(page: Page, name: str, files: list[str]) -> None:
    """A dataset with pictures, and the form filled in."""
    page.click('[data-panel="training"]')
    page.get_by_role("button", name="New…").click()
    page.get_by_label("Name of the folder").fill(name)
    page.get_by_role("button", name="Make").click()
    expect(page.locator('select[aria-label="Dataset"]')).to_have_value(name)  # else the pictures go to the one that was shown before
    page.set_input_files('.dataset input[type="file"]', files)
    expect(page.locator(".picture textarea")).to_have_count(len(files))
    expect(page.locator('select[aria-label="Dataset"]')).to_contain_text(f"{len(files)} pictures")
    page.get_by_label("Words that stand for the subject").fill("sks shape")


def more(page: Page, **values: str) -> None:
    page.get_by_text("More settings").click()
    for label, value in values.items():
        page.locator(f'.fields [name="{label}"]').fill(value)


def steps_of(lora: Path) -> int:
    """How many steps a LoRA file says it was trained."""
    data = lora.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return int(json.loads(data[8 : 8 + size])["__metadata__"]["ss_steps"])


def test_train_and_use(page: Page, data: Path, tmp_path: Path, server: Server) -> None:
    (data / "models/loras").mkdir(parents=True, exist_ok=True)
    save_file({"of_another_training": np.zeros(1)}, data / "models/loras/panel_lora.safetensors")
    begin(page, "my shapes", pictures(tmp_path))
    page.locator(".buckets summary").click()
    rows = page.locator(".buckets tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="128 × 128")).to_contain_text("3")
    page.get_by_label("Name of the LoRA").fill("panel_lora")
    page.get_by_label("Steps", exact=True).fill("4")
    page.get_by_label("What to draw meanwhile").fill("a red sks shape <b>on</b> white")
    more(page, keep="2", measure="1", batch="2")
    page.locator(".picture textarea").first.fill("a purple sks shape <b>on</b> white")
    page.click(".fields button[type=submit]")  # the caption that was written a moment ago belongs to it
    state = page.locator(".live [role=status]")
    expect(state).to_contain_text("done")
    assert (data / "datasets/my shapes/0.txt").read_text() == "a purple sks shape <b>on</b> white"
    assert steps_of(data / "models/loras/panel_lora_2.safetensors") == 4
    assert page.locator(".chart polyline.mean").count() == 1
    expect(page.locator(".chart circle")).to_have_count(4)
    expect(page.locator(".samples figcaption")).to_have_text(["step 2", "step 4", "result"])
    page.reload()  # what is shown comes from the server
    ready(page)
    expect(state).to_contain_text("done")
    expect(page.locator(".samples figcaption")).to_have_text(["step 2", "step 4", "result"])
    page.get_by_role("button", name="Use this LoRA now").click()
    expect(page.locator("#outline li", has_text=re.compile("^Load LoRA"))).to_contain_text("panel_lora_2.safetensors")
    page.focus("#canvas")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_attribute("data-state", "succeeded")
    job = server.api("GET", "jobs?limit=1")["jobs"][0]["id"]
    ran = {node["class_type"]: node["cached"] for node in server.api("GET", f"jobs/{job}/nodes")["nodes"]}
    assert ran["LoraLoader"] is ran["KSampler"] is False


def test_a_training_is_stopped_and_what_it_has_learned_is_kept(page: Page, data: Path, tmp_path: Path) -> None:
    begin(page, "more shapes", pictures(tmp_path))
    page.get_by_label("Name of the LoRA").fill("stopped_lora")
    page.get_by_label("Steps", exact=True).fill("5000")
    page.click(".fields button[type=submit]")
    state = page.locator(".live [role=status]")
    expect(state).to_contain_text("of 5000")
    page.locator(".live").get_by_role("button", name="Pause").click()
    expect(state).to_contain_text("Paused")
    page.locator(".live").get_by_role("button", name="Go on").click()
    expect(state).to_contain_text("of 5000")
    page.locator(".live").get_by_role("button", name="Stop and save").click()
    expect(state).to_contain_text("done")
    assert 0 < steps_of(data / "models/loras/stopped_lora.safetensors") < 5000


def test_a_picture_that_leads_elsewhere_is_named_and_the_others_are_shown(page: Page, data: Path, tmp_path: Path) -> None:
    folder = data / "datasets" / "linked"
    folder.mkdir(parents=True)
    for file in pictures(tmp_path, 2):
        Image.open(file).save(folder / Path(file).name)
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    (folder / "secret.png").symlink_to(tmp_path / "outside.png")
    page.click('[data-panel="training"]')
    page.locator('select[aria-label="Dataset"]').select_option("linked")
    expect(page.locator(".picture")).to_have_count(2)
    expect(page.locator(".dataset .fault")).to_have_text("Left out: secret.png")


def test_caption_files_come_with_their_pictures(page: Page, data: Path, tmp_path: Path) -> None:
    files = pictures(tmp_path, 2)
    (tmp_path / "1.txt").write_text("a purple sks shape\n")
    (tmp_path / "lonely.txt").write_text("of nothing")
    page.click('[data-panel="training"]')
    page.get_by_role("button", name="New…").click()
    page.get_by_label("Name of the folder").fill("captioned")
    page.get_by_role("button", name="Make").click()
    page.get_by_label("Words that stand for the subject").fill("sks shape")
    page.locator('.fields button[type="submit"]').click()
    expect(page.locator("#problems")).to_contain_text("There is no picture to train on in “captioned”")
    page.set_input_files('.dataset input[type="file"]', [str(tmp_path / "1.txt"), str(tmp_path / "lonely.txt"), *files])
    expect(page.locator(".picture textarea").nth(1)).to_have_value("a purple sks shape")
    expect(page.locator("#problems")).to_contain_text("lonely.txt belongs to no picture here")
    assert (data / "datasets/captioned/1.txt").read_text() == "a purple sks shape"


def test_a_picture_that_is_refused_keeps_no_other_away(page: Page, tmp_path: Path) -> None:
    first, second = pictures(tmp_path, 2)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.click('[data-panel="training"]')
    page.get_by_role("button", name="New…").click()
    page.get_by_label("Name of the folder").fill("half")
    page.get_by_role("button", name="Make").click()
    expect(page.locator('select[aria-label="Dataset"]')).to_have_value("half")
    page.set_input_files('.dataset input[type="file"]', [first, str(broken), second])
    expect(page.locator(".picture textarea")).to_have_count(2)
    expect(page.locator("#problems")).to_contain_text("broken.png")

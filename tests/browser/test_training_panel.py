"""From pictures to a LoRA in use, without leaving the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def pictures(folder: Path) -> list[str]:
    made = []
    for number in range(4):
        picture = Image.new("RGB", (128, 128), "white")
        ImageDraw.Draw(picture).polygon([(64, 20 + number), (100, 100), (28, 100)], fill="purple")
        made.append(str(folder / f"{number}.png"))
        picture.save(made[-1])
    return made


def test_train_and_use(page: Page, data: Path, tmp_path: Path) -> None:
    page.click('[data-panel="training"]')
    page.get_by_role("button", name="New…").click()
    page.get_by_label("Name of the folder").fill("my shapes")
    page.get_by_role("button", name="Make").click()
    page.set_input_files('.dataset input[type="file"]', pictures(tmp_path))
    captions = page.locator(".picture textarea")
    expect(captions).to_have_count(4)
    captions.first.fill("a purple sks shape <b>on</b> white")
    captions.first.blur()
    expect(page.locator('select[aria-label="Dataset"]')).to_contain_text("4 pictures")
    page.get_by_label("Words that stand for the subject").fill("sks shape")
    page.get_by_label("Name of the LoRA").fill("panel_lora")
    page.get_by_label("Steps").fill("3")
    page.click(".fields button[type=submit]")
    expect(page.locator(".live [role=status]")).to_contain_text("done", timeout=300_000)
    assert (data / "datasets/my shapes/0.txt").read_text() == "a purple sks shape <b>on</b> white"
    assert (data / "models/loras/panel_lora.safetensors").stat().st_size > 10_000
    expect(page.locator(".chart polyline").first).to_be_attached()
    page.get_by_role("button", name="Use this LoRA now").click()
    expect(page.locator("#outline li", has_text=re.compile("^Load LoRA"))).to_have_count(1)
    page.focus("#canvas")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_attribute("data-state", "succeeded", timeout=300_000)

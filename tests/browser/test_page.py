"""The page in a real browser, over a server with trivial nodes."""

from __future__ import annotations

import json
import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.server.serving import chain, make_data, one, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""None: the browser that Playwright brought."""

FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.browser


def easel(nodes) -> str:
    return json.dumps({"format": "easel/1", "revision": 1, "nodes": nodes})


async def test_a_person_runs_a_workflow_sees_its_result_cancels_another_and_reads_an_error(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "workflows").mkdir()
    graph = chain(2)
    graph["0"]["_meta"] = {"title": "<b>First</b>"}
    (data / "workflows" / "a_sum.json").write_text(easel(graph))
    (data / "workflows" / "b_wait.json").write_text(easel(one("Wait")))
    (data / "workflows" / "c_fail.json").write_text(easel(one("Fail", text="<i>oh no</i>")))
    (data / "workflows" / "d_unknown.json").write_text(easel({"x": {"class_type": "Nonesuch", "inputs": {}}}))
    async with serving(data) as api, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
        await page.goto(f"http://{api.host}:{api.port}/")
        await expect(page.locator("body[data-ready]")).to_be_attached(timeout=60_000)
        await page.get_by_role("button", name="Workflows").click()
        outline = page.locator("#outline")
        await page.get_by_role("button", name="A sum").click()
        await expect(outline).to_contain_text("<b>First</b>")
        await page.evaluate("easel.setInput('0', 'a', 40)")
        await page.keyboard.press("Control+Enter")
        await expect(outline).to_contain_text("shows 42", timeout=60_000)

        await page.get_by_role("button", name="B wait").click()
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator("#status")).to_contain_text("/6000", timeout=60_000)
        await page.reload()  # a page that is opened again finds the job that runs
        await expect(page.locator("#status")).to_contain_text("/6000", timeout=60_000)
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#status")).to_have_attribute("data-state", "cancelled", timeout=60_000)

        await page.get_by_role("button", name="C fail").click()
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator("#problems")).to_contain_text("<i>oh no</i>", timeout=60_000)
        await expect(outline).to_contain_text("Problem: ")
        await page.evaluate("easel.setInput(Object.keys(Object.fromEntries(easel.editor.problems))[0], 'text', 'better')")
        await expect(page.locator("#problems li")).to_have_count(0)  # a node that was changed is no longer blamed

        await page.get_by_role("button", name="D unknown").click()
        await expect(outline).to_contain_text("missing")
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator("#problems")).to_contain_text("Nonesuch")
        assert complaints == []
        await browser.close()


async def test_a_browser_logs_in_where_a_token_is_asked_for(tmp_path):
    token = "a token of some length"
    async with serving(make_data(tmp_path / "data"), token=token) as api, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        await page.goto(f"http://{api.host}:{api.port}/")
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_text("This is not the token.")).to_be_visible()
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Open").click()
        await expect(page.locator("#server")).to_contain_text("Easel", timeout=60_000)
        await expect(page.locator("#outline li")).not_to_have_count(0)
        await browser.close()

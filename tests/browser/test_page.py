"""The page in a real browser, over a server with trivial nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright, expect

from tests.server.serving import Api, chain, make_data, one, serving
from tests.server.test_v1 import over

from .conftest import CHROMIUM, FLAGS, PATIENCE

pytestmark = pytest.mark.browser

expect.set_options(timeout=PATIENCE)


def easel(nodes) -> str:
    return json.dumps({"format": "easel/1", "revision": 1, "nodes": nodes})


@asynccontextmanager
async def opened(data: Path, **settings) -> AsyncIterator[tuple[Api, Page]]:
    """A server and a page of it, which must not complain."""
    async with serving(data, **settings) as api, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
        await page.goto(f"http://{api.host}:{api.port}/")
        yield api, page
        assert complaints == []
        await browser.close()


def with_workflows(folder: Path, **workflows: str) -> Path:
    data = make_data(folder)
    (data / "workflows").mkdir()
    for name, text in workflows.items():
        (data / "workflows" / f"{name}.json").write_text(text)
    return data


async def open_workflow(page: Page, title: str, holds: str) -> None:
    """Click on a workflow, and wait for what its graph holds."""
    await page.get_by_role("button", name=title).click()
    await expect(page.locator("#title")).to_have_text(title)
    await expect(page.locator("#outline")).to_contain_text(holds)


async def test_a_person_runs_a_workflow_sees_its_result_cancels_another_and_reads_an_error(tmp_path):
    graph = chain(2)
    graph["0"]["_meta"] = {"title": "<b>First</b>"}
    workflows = {
        "a_sum": easel(graph),
        "b_wait": easel(one("Wait", seconds=3000.0)),
        "c_fail": easel(one("Fail", text="<i>oh no</i>")),
        "d_unknown": easel({"x": {"class_type": "Nonesuch", "inputs": {}}}),
    }
    async with opened(with_workflows(tmp_path / "data", **workflows)) as (_, page):
        await expect(page.locator("body[data-ready]")).to_be_attached()
        await page.locator('[data-panel="workflows"]').click()
        outline = page.locator("#outline")
        await open_workflow(page, "A sum", "<b>First</b>")
        await page.evaluate("easel.setInput('0', 'a', 40)")
        await page.keyboard.press("Control+Enter")
        await expect(outline).to_contain_text("shows 42")

        await open_workflow(page, "B wait", "seconds 3000")
        await page.locator("#run").click()
        await expect(page.locator("#status")).to_contain_text("/300000")
        await page.reload()  # a page that is opened again finds the job that runs
        await expect(page.locator("#status")).to_contain_text("/300000")
        await page.locator("#cancel").click()
        await expect(page.locator("#status")).to_have_attribute("data-state", "cancelled")

        await open_workflow(page, "C fail", "oh no")
        await page.locator("#run").click()
        await expect(page.locator("#problems")).to_contain_text("<i>oh no</i>")
        await expect(outline).to_contain_text("Problem: ")
        await page.evaluate("easel.setInput(Object.keys(Object.fromEntries(easel.editor.problems))[0], 'text', 'better')")
        await expect(page.locator("#problems li")).to_have_count(0)  # a node that was changed is no longer blamed

        await open_workflow(page, "D unknown", "missing")
        await page.locator("#run").click()
        await expect(page.locator("#problems")).to_contain_text("Nonesuch")


@pytest.mark.parametrize("order", ["followed before it begins", "over before it is followed", "the rest comes late"])
async def test_a_job_that_fails_at_once_says_why_whenever_the_page_hears_of_it(tmp_path, order):
    data = with_workflows(tmp_path / "data", fails=easel(one("Fail", text="oh no")))
    late = asyncio.Event()

    async def after_the_end(route: Route) -> None:
        answer = await route.fetch()
        await over(api, (await answer.json())["id"])
        await route.fulfill(response=answer)

    async def when_told(route: Route) -> None:
        await late.wait()
        await route.continue_()

    async with opened(data) as (api, page):
        await expect(page.locator("body[data-ready]")).to_be_attached()
        await page.locator('[data-panel="workflows"]').click()
        await open_workflow(page, "Fails", "oh no")
        if order == "followed before it begins":
            await api.json("POST", "/api/v1/queue/pause")
            await page.locator("#run").click()
            await page.wait_for_function("() => easel.jobs.followed?.source?.readyState === EventSource.OPEN")
            await api.json("POST", "/api/v1/queue/resume")
        elif order == "over before it is followed":
            await page.route("**/api/v1/jobs", after_the_end)
            await page.locator("#run").click()
        else:
            await page.route("**/api/v1/jobs/*", when_told)
            await page.route("**/api/v1/jobs/*/nodes", when_told)
            await page.locator("#run").click()
        for _ in range(2):
            await expect(page.locator("#status")).to_have_attribute("data-state", "failed")
            await expect(page.locator("#problems li")).to_have_count(1)
            await expect(page.locator("#problems li")).to_contain_text("oh no")
            await expect(page.locator("#outline li", has_text="Problem: ")).to_have_attribute("data-state", "failed")
            late.set()
            await page.reload()  # and again for who looks later


async def test_a_run_of_a_workflow_is_not_shown_on_another_that_was_opened_meanwhile(tmp_path):
    data = with_workflows(tmp_path / "data", a_sum=easel(chain(2)), b_sum=easel(chain(3)))
    late = asyncio.Event()

    async def when_told(route: Route) -> None:
        await late.wait()
        await route.continue_()

    async with opened(data) as (_, page):
        await expect(page.locator("body[data-ready]")).to_be_attached()
        await page.locator('[data-panel="workflows"]').click()
        await open_workflow(page, "A sum", "Show")
        await page.route("**/api/v1/jobs", when_told)
        await page.locator("#run").click()
        await open_workflow(page, "B sum", "Show")
        late.set()
        await page.wait_for_function("() => easel.jobs.followed?.state === 'succeeded'")
        await expect(page.locator("#outline")).not_to_contain_text("shows")
        await expect(page.locator("#status")).to_have_text("")


async def test_a_browser_logs_in_where_a_token_is_asked_for(tmp_path):
    token = "a token of some length"
    async with opened(make_data(tmp_path / "data"), token=token) as (_, page):
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_text("This is not the token.")).to_be_visible()
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Open").click()
        await expect(page.locator("#server")).to_contain_text("Easel")
        await expect(page.locator("#outline li")).not_to_have_count(0)

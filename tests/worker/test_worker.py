"""The real worker process behind the server: what its death costs, and that nothing else can break the pipe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from engine.address import find_server
from engine.client import Client
from engine.errors import InvalidWorkflow
from engine.server.state import SERVER
from tests.server.serving import chain, make_data, one, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "data")


async def test_a_worker_killed_in_the_middle_of_a_job_costs_one_attempt(data):
    async with serving(data) as api:
        job = (await api.queue(one("Wait", seconds=1.5)))["prompt_id"]
        following = (await api.queue(chain(3)))["prompt_id"]
        await api.until_running(job)
        pid = (await _stats(api))["pid"]
        os.kill(pid, signal.SIGKILL)
        assert (await api.entry(job))["status"]["status_str"] == "success"
        assert (await api.entry(following))["outputs"] == {"show": {"text": ["3"]}}
        described = await api.json("GET", f"/api/v1/jobs/{job}")
        assert (described["attempt"], described["crashes"], described["state"]) == (2, 1, "succeeded")
        assert (await _stats(api))["pid"] != pid


async def test_a_job_that_ends_its_process_twice_is_parked_with_the_reason(data):
    async with serving(data) as api:
        poison = (await api.queue(one("Die")))["prompt_id"]
        following = (await api.queue(chain(3)))["prompt_id"]
        assert (await api.entry(following))["status"]["status_str"] == "success"
        entry = await api.entry(poison)
        assert entry["status"]["status_str"] == "error"
        name, error = entry["status"]["messages"][-1]
        assert name == "execution_error" and error["node_id"] == "node"
        assert "2 crashes" in error["exception_message"] and "SIGKILL" in error["exception_message"]
        described = await api.json("GET", f"/api/v1/jobs/{poison}")
        assert (described["state"], described["attempt"]) == ("parked", 2)
        assert (await api.json("POST", f"/api/v1/jobs/{poison}/release"))["state"] == "queued"


async def test_jobs_and_history_and_results_live_through_a_restart(data):
    async with serving(data) as api:
        done = (await api.queue(chain(4)))["prompt_id"]
        await api.entry(done)
        before = await api.json("GET", "/history")
        running = (await api.queue(one("Wait", seconds=0.5)))["prompt_id"]
        await api.until_running(running)
        waiting = await api.queue(chain(2, 5))
    async with serving(data) as api:
        assert (await api.json("GET", "/history"))[done] == before[done]
        assert (await api.entry(waiting["prompt_id"]))["outputs"] == {"show": {"text": ["7"]}}
        described = await api.json("GET", f"/api/v1/jobs/{running}")
        assert (described["state"], described["attempt"], described["crashes"]) == ("succeeded", 2, 0)
        again = await api.queue(chain(4))
        assert again["number"] > waiting["number"]
        await api.entry(again["prompt_id"])
        records = (await api.json("GET", f"/api/v1/jobs/{again['prompt_id']}/nodes"))["nodes"]
        assert {record["node_id"]: record["reason"] for record in records}["show"] == "hit disk"


async def test_a_second_start_knows_the_nodes_before_any_worker_is_up(data):
    async with serving(data) as api:
        first = await api.json("GET", "/object_info")
    never = (sys.executable, "-c", "import sys; sys.stdin.read()")
    async with serving(data, worker=never) as api:
        assert await api.json("GET", "/object_info") == first
        assert (await api.queue(chain(2)))["node_errors"] == {}
        await api.json("GET", "/readyz", 503)
    (data / "custom_nodes" / "more.py").write_text("# another source")
    async with serving(data, worker=never) as api:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await api.json("GET", "/object_info")


async def test_prints_and_broken_packs_do_no_harm(data):
    (data / "custom_nodes" / "noisy.py").write_text(
        "import os, sys\nprint('hello')\nsys.stdout.flush()\nos.write(1, b'x' * 100)\n"
        "from engine.graph import node\n\n@node('Noisy', category='test')\ndef noisy(a: int) -> int:\n"
        "    '''Print.'''\n    print('x' * 100_000)\n    os.system('echo hello')\n    return a\n"
    )
    (data / "custom_nodes" / "broken.py").write_text("raise RuntimeError('I do not load')")
    async with serving(data) as api:
        graph = {**one("Wait", steps=1), "noisy": {"class_type": "Noisy", "inputs": {"a": 5}}}
        graph["show"]["inputs"]["values1"] = ["noisy", 0]
        assert (await api.run(graph))["outputs"] == {"show": {"text": ["5"]}}
        failures = (await api.json("GET", "/api/v1/nodes"))["failures"]
        assert "I do not load" in next(iter(failures.values()))


async def test_a_worker_with_trivial_nodes_and_the_server_never_load_torch(data):
    async with serving(data) as api:
        await api.run(chain(2))
        maps = Path(f"/proc/{(await _stats(api))['pid']}/maps")
        if maps.exists():
            assert "libtorch" not in maps.read_text()
    code = "import sys, engine.server.app; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'PIL', 'diffusers')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def _start(data: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "server.py"), "--data", str(data), "--port", "0", *flags]
    environment = {**os.environ, "EASEL_PACKAGES": " "}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False)


def _address(server: subprocess.Popen[bytes]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline().decode()
    assert line.startswith("Easel is at http://127.0.0.1:"), line
    return line.split()[-1]


async def test_server_py_is_ready_soon_and_small_and_easel_finds_it(data):
    server = _start(data)
    try:
        url = _address(server)
        process = psutil.Process(server.pid)
        used = process.cpu_times()
        assert used.user + used.system < 5  # processor time; it takes less than one, a busy machine makes it more
        assert find_server(data) == url
        async with Client(url) as client:
            job = await client.submit(chain(20), id="mine")
            assert (await client.submit(chain(20), id="mine")).id == job.id
            kinds = [event["type"] async for event in client.events(job.id)]
            assert kinds[0] == "job_started" and kinds[-1] == "job_finished"
            done = await client.wait(job.id)
            assert (done.state, done.outputs) == ("succeeded", {"show": {"text": ["20"]}})
            with pytest.raises(InvalidWorkflow) as refused:
                await client.submit({"1": {"class_type": "Nonesuch", "inputs": {}}})
            assert refused.value.problems[0].code == "unknown_node"
            stored = await client.upload("a b/ü.txt", b"text")
            assert (await client.download(stored, data / "copy.txt")).read_bytes() == b"text"
        assert process.memory_info().rss < 120e6
        second = _start(data)
        _, complaint = second.communicate(timeout=300)
        assert second.returncode == 1 and url in complaint.decode()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(300) == 0
    assert find_server(data) is None


def test_a_server_that_others_could_reach_does_not_start_without_a_token(data):
    server = _start(data, "--host", "0.0.0.0")
    _, complaint = server.communicate(timeout=300)
    assert server.returncode == 1 and "token" in complaint.decode()


async def test_the_worker_does_not_outlive_a_server_that_is_killed(data):
    server = _start(data)
    url = _address(server)
    async with aiohttp.ClientSession(url) as session:
        body = json.dumps({"prompt": one("Sleep")})
        async with session.post("/prompt", data=body) as response:
            job = (await response.json())["prompt_id"]
        while True:
            async with session.get(f"/api/v1/jobs/{job}") as response:
                if (await response.json())["state"] == "running":
                    break
            await asyncio.sleep(0.05)
    (worker,) = psutil.Process(server.pid).children()
    server.kill()
    server.wait()
    worker.wait(300)
    async with serving(data) as api:
        described = await api.json("GET", f"/api/v1/jobs/{job}")
        assert (described["crashes"], described["attempt"]) in ((1, 1), (1, 2))
        await api.json("POST", f"/api/v1/jobs/{job}/cancel")


async def _stats(api):
    async with asyncio.timeout(300):
        while not (stats := api.server.app[SERVER].supervisor.stats):
            await asyncio.sleep(0.05)
    return stats


async def test_a_worker_that_cannot_forget_a_job_goes_on_with_others(data):
    """As on a full disk. Once the disk has room, the next worker does it."""
    (data / "custom_nodes" / "full.py").write_text(
        "import sqlite3\nfrom pathlib import Path\n\nfrom engine.graph.cache import Cache\n\nforget = Cache.forget_jobs\n\n"
        "def full(cache, jobs):\n    if Path(__file__).with_name('full').exists():\n"
        "        raise sqlite3.OperationalError('database or disk is full')\n    forget(cache, jobs)\n\nCache.forget_jobs = full\n"
    )
    (data / "custom_nodes" / "full").touch()
    async with serving(data) as api:
        job = (await api.queue(chain(2)))["prompt_id"]
        await api.entry(job)
        await api.json("DELETE", f"/api/v1/jobs/{job}", 204)
        await api.run(chain(3))
        server = api.server.app[SERVER]
        assert await server.jobs.store.forgotten() == [job] and server.supervisor.starts == 1
    (data / "custom_nodes" / "full").unlink()
    async with serving(data) as api, asyncio.timeout(300):
        while await api.server.app[SERVER].jobs.store.forgotten():
            await asyncio.sleep(0.01)

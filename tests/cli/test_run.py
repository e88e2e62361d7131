"""`easel run`: what it prints, what it refuses, and how it ends. Its nodes are a pack in the data folder: nothing heavy is loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.errors import InvalidWorkflow, MissingFile

PACK = '''
import time
from typing import Annotated

from pydantic import Field

from engine.errors import Preempted
from engine.graph import Context, Shown, node


@node("Shout", category="test")
def shout(text: str, times: Annotated[int, Field(ge=1, le=5)] = 1) -> str:
    """Say it loudly."""
    return text.upper() + "!" * times


@node("Fail", category="test")
def fail(text: str) -> str:
    """Never works."""
    raise ValueError("the reason")


@node("Count", category="test", grad=True)
def count(ctx: Context, steps: int = 40) -> str:
    """Count, and go on where it stopped."""
    step = ctx.checkpoint.load() or 0
    print("from", step, flush=True)
    while step < steps:
        try:
            ctx.progress(step, steps)
            if step == 5 and not (ctx.folders.data / "go_on").exists():
                print("waiting", flush=True)
                while True:
                    time.sleep(0.01)
                    ctx.progress(step, steps)
        except Preempted:
            ctx.checkpoint.save(step)
            raise
        step += 1
    return f"counted to {step}"


@node("Wait", category="test")
def wait(ctx: Context, text: str) -> str:
    """Take long."""
    print("waiting", flush=True)
    for step in range(60_000):
        ctx.progress(step, 60_000)
        time.sleep(0.01)
    return text


@node("Write", category="test", output_node=True)
def write(ctx: Context, text: str, prefix: str = "said") -> Shown:
    """Write a text file."""
    record = ctx.folders.save("output", prefix, ".txt", lambda path: path.write_text(text))
    return Shown({"files": [record]})


@node("Print", category="test", output_node=True)
def print_text(text: str) -> Shown:
    """Show a text."""
    return Shown({"text": [text]})
'''


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "pack.py").write_text(PACK)
    (tmp_path / "easel.toml").write_text("packages = []\n")
    return tmp_path


def workflow(data: Path, **changes: dict[str, Any]) -> Path:
    nodes = {
        "say": {"class_type": "Shout", "inputs": {"text": "hello"}, "_meta": {"title": "Say it"}},
        "write": {"class_type": "Write", "inputs": {"text": ["say", 0]}},
    }
    path = data / "workflow.json"
    path.write_text(json.dumps({"format": "easel/1", "nodes": nodes | changes}))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from engine.cli.main import main; main()", "run", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def ask(url: str, body: Any = None) -> None:
    """Send a POST; raises for an answer that is an error."""
    data = b"" if body is None else json.dumps(body).encode()
    urllib.request.urlopen(urllib.request.Request(url, data=data, method="POST"), timeout=60).close()


def test_it_prints_the_paths_of_what_it_wrote(data: Path) -> None:
    done = run(workflow(data), "--data", data, "--set", "say.times=3", "--set", "Say it.text=good day")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{data / 'output' / 'said_00001_.txt'}\n"
    assert (data / "output" / "said_00001_.txt").read_text() == "GOOD DAY!!!"


def test_files_go_where_out_says(data: Path, tmp_path: Path) -> None:
    done = run(workflow(data), "--data", data, "--out", tmp_path / "there" / "below")
    assert done.stdout == f"{tmp_path / 'there' / 'below' / 'said_00001_.txt'}\n"
    assert not list((data / "output").glob("*"))


def test_a_text_that_an_output_node_shows_is_printed(data: Path) -> None:
    done = run(workflow(data, show={"class_type": "Print", "inputs": {"text": ["say", 0]}}), "--data", data)
    assert set(done.stdout.splitlines()) == {"HELLO!", str(data / "output" / "said_00001_.txt")}


def test_the_second_run_computes_nothing_and_tells_the_same_file(data: Path) -> None:
    path = workflow(data)
    assert run(path, "--data", data).stdout == run(path, "--data", data).stdout
    assert len(list((data / "output").iterdir())) == 1


def test_an_invalid_workflow_lists_every_problem_and_runs_nothing(data: Path) -> None:
    path = workflow(data, say={"class_type": "Shout", "inputs": {"text": 5, "times": 9}}, odd={"class_type": "Nowhere", "inputs": {}})
    done = run(path, "--data", data)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for told in ("3 problems:", "Node 'say' (Shout), input 'times': Value 9 bigger than max of 5", "input 'text'", "Node 'odd'"):
        assert told in done.stderr
    assert done.stderr.count("Nowhere") == done.stderr.count("'say'") / 2 == 1, "each is said once"
    assert "value_bigger_than_max" not in done.stderr, "codes are for programs"
    assert not (data / "output").exists() or not list((data / "output").iterdir())


def test_a_wrong_assignment_is_told(data: Path) -> None:
    done = run(workflow(data), "--data", data, "--set", "nobody.text=x")
    assert done.returncode == 1
    assert "nobody" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"nodes": 5}', '{"format": "easel/9", "nodes": {}}'])
def test_a_file_that_is_no_workflow_is_refused(data: Path, text: str) -> None:
    (data / "broken.json").write_text(text)
    with pytest.raises(InvalidWorkflow):
        refused(data / "broken.json", "--data", data)


def test_a_missing_file_is_told(data: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.json cannot be read"):
        refused(data / "none.json", "--data", data)


def refused(*arguments: object) -> None:
    done = CliRunner().invoke(app, ["run", *map(str, arguments)])
    assert done.exception is not None
    raise done.exception


def test_a_failed_node_is_told_and_the_other_branch_still_writes(data: Path) -> None:
    broken = {
        "broken": {"class_type": "Fail", "inputs": {"text": "x"}},
        "other": {"class_type": "Write", "inputs": {"text": ["broken", 0]}},
    }
    done = run(workflow(data, **broken), "--data", data)
    assert done.returncode == 1
    assert "Fail broken: Fail failed: ValueError: the reason" in done.stderr
    assert done.stdout == f"{data / 'output' / 'said_00001_.txt'}\n"


def test_a_run_ends_though_nobody_reads_what_it_says(data: Path) -> None:
    """As in `easel run ... 2>&1 | head -1`."""
    path = workflow(
        data, broken={"class_type": "Fail", "inputs": {"text": "x"}}, other={"class_type": "Print", "inputs": {"text": ["broken", 0]}}
    )
    process = subprocess.Popen(command(path, "--data", data), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=120) == 1
    assert (data / "output" / "said_00001_.txt").read_text() == "HELLO!"


def test_ctrl_c_stops_at_the_next_step(data: Path) -> None:
    path = workflow(data, say={"class_type": "Wait", "inputs": {"text": "x"}})
    process = subprocess.Popen(command(path, "--data", data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)  # the node would take ten minutes
    assert process.returncode == 1
    assert "stopping" in errors
    assert "Traceback" not in errors


def test_ctrl_c_keeps_what_a_training_came_to(data: Path) -> None:
    path = workflow(data, say={"class_type": "Count", "inputs": {}})
    process = subprocess.Popen(command(path, "--data", data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["from 0\n", "waiting\n"]
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 1
    (data / "go_on").touch()
    done = run(path, "--data", data)
    first, file = done.stdout.splitlines()
    assert (done.returncode, first) == (0, "from 5")
    assert Path(file).read_text() == "counted to 40"


def test_the_server_that_has_the_data_folder_open_does_it(data: Path, tmp_path: Path) -> None:
    serve = [sys.executable, "-c", "from engine.cli.main import main; main()", "serve", "--data", str(data), "--port", "0"]
    few = {**os.environ, "EASEL_MAX_WAITING": "1"}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=few) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[-1]
            done = run(workflow(data), "--data", data, "--set", "say.text=one")
            assert done.returncode == 0, done.stderr
            assert done.stdout == f"{data / 'output' / 'said_00001_.txt'}\n"
            assert url in done.stderr
            done = run(workflow(data), "--data", data, "--set", "say.text=two", "--out", tmp_path / "there")
            assert done.stdout == f"{tmp_path / 'there' / 'said_00001_.txt'}\n"
            assert (tmp_path / "there" / "said_00001_.txt").read_text() == "TWO!"
            done = run(workflow(data, say={"class_type": "Fail", "inputs": {"text": "x"}}), "--data", data)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.count("the reason") == 1
            done = run(workflow(data, say={"class_type": "Nowhere", "inputs": {}}), "--data", data)
            assert done.returncode == 1
            assert "Nowhere" in done.stderr
            assert "Traceback" not in done.stderr
            ask(f"{url}/api/v1/queue/pause")
            ask(f"{url}/api/v1/jobs", {"workflow": json.loads(workflow(data).read_text())})
            done = run(workflow(data), "--data", data)
            assert (done.returncode, done.stdout) == (1, "")
            assert "The queue is full" in done.stderr and "max_waiting" in done.stderr
        finally:
            server.terminate()
    assert server.returncode == 0

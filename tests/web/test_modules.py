"""The editor's modules that know nothing of a page, under node's test runner."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def test_editor_modules() -> None:
    node = shutil.which("node")
    assert node is not None, "node is needed for the editor's tests: install Node.js 20 or newer"
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    run = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]

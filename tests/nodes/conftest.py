import pytest

from engine.graph import Context, JobInfo
from engine.graph.folders import Folders


@pytest.fixture
def ctx(tmp_path) -> Context:
    """A context on an empty data folder, for a job that a client sent with a workflow."""
    folders = Folders(tmp_path)
    folders.create()
    prompt = {"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "picture"}}}
    extra = {"extra_pnginfo": {"workflow": {"version": 0.4}}, "easel": {"format": "easel/1"}}
    return Context(folders=folders, job=JobInfo(id="job", prompt=prompt, extra=extra), temp=tmp_path / "temp")

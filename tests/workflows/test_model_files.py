"""Model files that change while the engine runs."""

import os
import shutil

from engine.graph.folders import EMBEDDED_MODELS
from tests.workflows.conftest import seen


def test_a_model_file_that_was_copied_again_is_opened_again(studio):
    copy = studio.runtime.folders.models / "checkpoints" / "copy.safetensors"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors", copy)
    chosen = "checkpoint.ckpt_name=copy.safetensors"
    assert seen(studio.draw("text_to_image", chosen)) == ("red", "circle", "white")
    studio.runtime.free(models=True, cache=False)
    os.utime(copy, ns=(0, 0))
    other = "positive.text=a large blue cross on a yellow background"
    assert seen(studio.draw("text_to_image", chosen, other)) == ("blue", "cross", "yellow")

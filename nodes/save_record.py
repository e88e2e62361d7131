"""A picture with the whole recipe beside it."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor

from engine.graph import Context, Shown, Widget, node
from engine.values.image import Image
from engine.values.pictures import write_png


@node("SaveRecord", category="image", display_name="Save Image with Record", output_node=True, lane="io")
def save_record(ctx: Context, images: Image, filename_prefix: Annotated[str, Widget(multiline=False)] = "ComfyUI") -> Shown:
    """Write each picture of a batch as a PNG, and beside it a JSON file of the same name with the whole recipe.

    The record holds the workflow as it was run and as it was sent, the device and number formats it ran with, and the picture's digest.

    filename_prefix: the name's beginning; a slash makes a folder, `%year%`, `%width%` and the like are filled in.
    """
    texts = ctx.job.texts()
    pictures, records = [], []
    for number, image in enumerate(images):
        ctx.check_cancelled()
        written: list[bytes] = []
        tokens = {"width": str(image.shape[1]), "height": str(image.shape[0]), "batch_num": str(number)}
        saved = ctx.folders.save("output", filename_prefix, ".png", partial(_write, image, texts, written), tokens=tokens)
        pictures.append(saved)
        name = f"{saved['subfolder']}/{saved['filename']}".lstrip("/")
        digest = hashlib.sha256(written[0]).hexdigest()
        record = {
            "format": "easel-record/1",
            "job": ctx.job.id,
            "node": ctx.node_id,
            "picture": {"file": saved["filename"], "number": number, "width": image.shape[1], "height": image.shape[0], "sha256": digest},
            "numerics": ctx.memory.numerics.describe() if ctx.memory is not None else {},
            **texts,
        }
        path = ctx.folders.output / Path(name).with_suffix(".json")
        path.write_text(json.dumps(record, indent=1, sort_keys=False), encoding="utf-8")
        records.append({**saved, "filename": path.name})
    return Shown({"images": pictures, "records": records})


def _write(image: Tensor, texts: dict[str, Any], written: list[bytes], path: Path) -> None:
    write_png(path, image, {key: json.dumps(value) for key, value in texts.items()})
    written.append(path.read_bytes())

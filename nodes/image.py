"""Pictures: files of them, plain ones, batches of them."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, NamedTuple

from engine.graph import Choice, Context, Shown, Widget, node
from engine.values.image import Image, Mask
from engine.values.pictures import read_picture, write_png

Prefix = Annotated[str, Widget(multiline=False)]


class Loaded(NamedTuple):
    image: Image
    mask: Mask


@node("LoadImage", category="image", display_name="Load Image", lane="io")
def load_image(ctx: Context, image: Annotated[str, Choice("input:image"), Widget(image_upload=True)]) -> Loaded:
    """Read a picture from the input folder.

    The mask marks what is transparent (1) and what is not (0); it is empty for a picture without transparency.
    The frames of an animation come out as a batch.
    """
    return Loaded(*read_picture(ctx.folders.resolve("input", image), ctx.job.max_pixels))


@node("SaveImage", category="image", display_name="Save Image", output_node=True, lane="io")
def save_image(ctx: Context, images: Image, filename_prefix: Prefix = "ComfyUI") -> Shown:
    """Write each picture of a batch to the output folder as a PNG that holds the workflow that drew it.

    filename_prefix: the name's beginning; a slash makes a folder, `%year%`, `%width%` and the like are filled in.
    """
    return write_images(ctx, images, "output", filename_prefix, compress_level=4)


@node("PreviewImage", category="image", display_name="Preview Image", output_node=True, lane="io")
def preview_image(ctx: Context, images: Image) -> Shown:
    """Show pictures without keeping them: they are written to the temporary folder, which is emptied at the next start."""
    return write_images(ctx, images, "temp", "preview", compress_level=1)


def write_images(ctx: Context, images: Image, root: str, prefix: str, compress_level: int) -> Shown:
    """Write each picture of a batch as a PNG with the job's texts, and show them."""
    texts = {key: json.dumps(value) for key, value in ctx.job.texts().items()}
    records = []
    for number, image in enumerate(images):
        ctx.check_cancelled()
        tokens = {"width": str(image.shape[1]), "height": str(image.shape[0]), "batch_num": str(number)}
        write = partial(write_png, image=image, texts=texts, compress_level=compress_level)
        records.append(ctx.folders.save(root, prefix, ".png", write, tokens=tokens))
    return Shown({"images": records})

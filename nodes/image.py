"""Pictures: files of them, plain ones, batches of them."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from engine.graph import Choice, Context, Shown, Widget, node
from engine.values.image import Image, Mask
from engine.values.pictures import read_picture, write_animation, write_png

Prefix = Annotated[str, Widget(multiline=False)]
FrameRate = Annotated[float, Field(ge=0.01, le=1000), Widget(step=0.01)]


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


def write_images(ctx: Context, images: Image, root: str, prefix: str, compress_level: int, **more: str) -> Shown:
    """Write each picture of a batch as a PNG with the job's texts and `more`, and show them."""
    texts = {**{key: json.dumps(value) for key, value in ctx.job.texts().items()}, **more}
    records = []
    for number, image in enumerate(images):
        ctx.check_cancelled()
        tokens = {"width": str(image.shape[1]), "height": str(image.shape[0]), "batch_num": str(number)}
        write = partial(write_png, image=image, texts=texts, compress_level=compress_level)
        records.append(ctx.folders.save(root, prefix, ".png", write, tokens=tokens))
    return Shown({"images": records})


@node("SaveAnimatedPNG", category="image/animation", display_name="Save Animated PNG", output_node=True, lane="io")
def save_animated_png(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: FrameRate = 6.0,
    compress_level: Annotated[int, Field(ge=0, le=9)] = 4,
) -> Shown:
    """Write the pictures of a batch as the frames of one animated PNG.

    fps: frames per second.
    """
    return _write_animation(ctx, images, filename_prefix, ".png", fps, compress_level=compress_level)


@node("SaveAnimatedWEBP", category="image/animation", display_name="Save Animated WebP", output_node=True, lane="io")
def save_animated_webp(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: FrameRate = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Field(ge=0, le=100)] = 80,
    method: Literal["default", "fastest", "slowest"] = "default",
) -> Shown:
    """Write the pictures of a batch as the frames of one animated WebP.

    fps: frames per second.
    quality: if it is not lossless, the size against the likeness; if it is, the effort.
    method: how long to look for a smaller file.
    """
    effort = {"default": 4, "fastest": 0, "slowest": 6}[method]
    return _write_animation(ctx, images, filename_prefix, ".webp", fps, lossless=lossless, quality=quality, method=effort)


def _write_animation(ctx: Context, images: Image, prefix: str, suffix: str, fps: float, **options: Any) -> Shown:
    texts = {key: json.dumps(value) for key, value in ctx.job.texts().items()}
    tokens = {"width": str(images.shape[2]), "height": str(images.shape[1])}
    write = partial(write_animation, images=images, fps=fps, texts=texts, **options)
    return Shown({"images": [ctx.folders.save("output", prefix, suffix, write, tokens=tokens)], "animated": [True]})


@node("LoadImageOutput", category="image", display_name="Load Image (from Outputs)", lane="io", experimental=True)
def load_image_output(
    ctx: Context, image: Annotated[str, Choice("output:image"), Widget(image_upload=True, image_folder="output")]
) -> Loaded:
    """Read a picture from the output folder, with its mask."""
    return Loaded(*read_picture(ctx.folders.resolve("output", image), ctx.job.max_pixels))

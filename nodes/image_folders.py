"""Folders of pictures as batches, under ComfyUI's ids. For training, DatasetFromFolder does more."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine.diffusion.text.encode import encode
from engine.diffusion.training.captions import plain
from engine.diffusion.training.dataset_folder import Folder, Reading, read_folder
from engine.diffusion.training.pictures import one_batch
from engine.errors import InvalidInput
from engine.graph import Choice, Context, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.dataset import Dataset
from engine.values.image import Image
from engine.values.model import Clip

DatasetFolder = Annotated[str, Choice("datasets")]
Method = Literal["None", "Stretch", "Crop", "Pad"]
Side = Annotated[int, Field(ge=-1, le=10_000), Widget(step=1, optional=True)]


class Described(NamedTuple):
    IMAGE: Image
    CONDITIONING: Conditioning


def _read(ctx: Context, folder: str, *, captionless: bool = False) -> Dataset:
    files = Folder(folder, *ctx.folders.files("datasets", folder))
    return read_folder(files, Reading(captionless=captionless), max_pixels=ctx.job.max_pixels, progress=ctx.progress)


@node("LoadImageSetFromFolderNode", category="loaders", display_name="Load Image Dataset from Folder", lane="io", experimental=True)
def load_image_set(ctx: Context, folder: DatasetFolder, resize_method: Annotated[Method, Widget(optional=True)] = "None") -> Image:
    """Read all pictures of a folder into one batch. Those in numbered sub-folders (`10_name`) come as often as the number says.

    folder: in `datasets`, or one that was named with `--datasets`.
    resize_method: what is done with pictures of another size than the first: None refuses them, Stretch scales them, Crop scales them
        and cuts off what is too much on both sides, Pad scales them and fills up with black.
    """
    return one_batch(_read(ctx, folder, captionless=True).examples, resize_method, None, ctx.job.max_pixels)


@node(
    "LoadImageTextSetFromFolderNode", category="loaders", display_name="Load Image and Text Dataset from Folder",
    lane="device", experimental=True,
)  # fmt: skip
def load_image_text_set(
    ctx: Context,
    folder: DatasetFolder,
    clip: Clip,
    resize_method: Annotated[Method, Widget(optional=True)] = "None",
    width: Side = -1,
    height: Side = -1,
) -> Described:
    """Read all pictures of a folder into one batch, and the captions beside them as one prompt for each.

    resize_method: as for the node without captions. width, height: the size of all pictures; -1: the first one's.
    Pictures in numbered sub-folders (`10_name`) come as often as the number says; without a caption file, the name is their caption.
    """
    if (width == -1) != (height == -1) or 0 in (width, height):
        raise InvalidInput(f"A size of {width} x {height} is none.", hint="Give both width and height, or leave both at -1.")
    examples = _read(ctx, folder).examples
    size = None if width == -1 else (width, height)
    captions = [example.captions[0] for example in examples for _ in range(example.repeats)]
    known = {text: encode(ctx.memory, clip, plain(text)) for text in dict.fromkeys(captions)}
    prompts = Conditioning(condition for text in captions for condition in known[text])
    return Described(one_batch(examples, resize_method, size, ctx.job.max_pixels), prompts)

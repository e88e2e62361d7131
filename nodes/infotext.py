"""Pictures that AUTOMATIC1111's web UI reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from engine import __version__
from engine.diffusion.text.a1111.networks import file_of, take_networks
from engine.diffusion.weights_file import tensors_digest
from engine.errors import EaselError
from engine.graph import Context, Shown, Widget, node
from engine.infotext.from_graph import Drawn, infotext_of
from engine.infotext.pictures import PARAMETERS
from engine.infotext.text import write_infotext
from engine.values.image import Image
from nodes.image import Prefix, write_images

Text = Annotated[str, Widget(multiline=True, optional=True)]


@node("SaveImageA1111", category="image", display_name="Save Image (A1111)", output_node=True, lane="io")
def save_image_a1111(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    positive: Text = "",
    negative: Text = "",
) -> Shown:
    """Write each picture of a batch as Save Image does, and with the text in which AUTOMATIC1111 looks for prompt and settings.

    The text is read off the graph: prompts, sampler, seed, model, LoRAs. It is left out with all metadata where the settings say so.

    filename_prefix: the name's beginning; a slash makes a folder, `%year%`, `%width%` and the like are filled in.
    positive, negative: the prompts, for graphs that make them as they run (the texts that Prompt (A1111 Syntax) gives out, for example);
        empty for what the text nodes say.
    """
    more = {}
    if ctx.job.metadata:
        drawn = infotext_of(ctx.job.prompt, ctx.node_id, (images.shape[2], images.shape[1]), positive, negative)
        if drawn is None:
            ctx.warn("No sampler was found before this node; the picture gets no text for AUTOMATIC1111.", "Use Save Image instead.")
        else:
            more[PARAMETERS] = _with_hashes(ctx, drawn)
    return write_images(ctx, images, "output", filename_prefix, compress_level=4, **more)


def _with_hashes(ctx: Context, drawn: Drawn) -> str:
    """The infotext with what A1111 knows files by: ten digits of a checkpoint's SHA-256, twelve of that of a LoRA's tensors."""
    settings = dict(drawn.info.settings)
    try:
        if drawn.checkpoint:
            settings["Model hash"] = ctx.folders.digest("checkpoints", drawn.checkpoint).removeprefix("sha256:")[:10]
        files = ctx.folders.list("loras")
        names = dict.fromkeys(network.name for network in take_networks(drawn.info.prompt).networks)
        hashes = [f"{name}: {tensors_digest(ctx.folders.resolve('loras', file_of(name, files)))[:12]}" for name in names]
    except EaselError as error:  # a name in the graph that is none of a file here
        ctx.log.info("No hashes in the infotext: %s", error)
        hashes = []
    if hashes:
        settings["Lora hashes"] = ", ".join(hashes)
    return write_infotext(replace(drawn.info, settings={**settings, "Version": f"Easel {__version__}"}))

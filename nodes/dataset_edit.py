"""Datasets changed and added to: captions, class pictures, pictures that the graph made, a look at what is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from engine.diffusion.pixels.layout import padded
from engine.diffusion.pixels.sheets import sheet
from engine.diffusion.training.caption_edit import edited
from engine.diffusion.training.made_pictures import dataset_of
from engine.diffusion.training.pictures import preview_of
from engine.diffusion.training.regularisation import MOST, missing
from engine.diffusion.training.tables import dataset_table
from engine.errors import InvalidInput
from engine.graph import Context, Expand, Graph, Link, Node, Seed, Variadic, Widget, node
from engine.values.dataset import Dataset
from engine.values.image import Image
from engine.values.model import Clip, Model, Vae
from nodes.dataset import Line, Read, Repeats, Weight
from nodes.sampling import SamplerName, Scale, SchedulerName, Steps

Lines = Annotated[str, Widget(multiline=True)]


@node("CaptionEdit", category="training/dataset", display_name="Edit Captions")
def caption_edit(
    dataset: Dataset,
    find: Line = "",
    replacement: Line = "",
    prefix: Line = "",
    suffix: Line = "",
    trigger: Line = "",
    only: Line = "",
    captions: Lines = "",
) -> Read:
    """Change the captions of a dataset. The files stay as they are.

    find, replacement: a text and what stands for it, everywhere it occurs; an empty replacement removes it.
    prefix, suffix: put around each caption as they are.
    trigger: put in front of captions that lack it; it becomes the dataset's trigger.
    only: a pattern for names, such as `10_*/*.png`: other pictures keep their captions.
    captions: new captions for single pictures, as `name.png: caption`, one a line. They come before everything else.

    Returns:
        dataset: with the new captions.
        table: the captions as they are now.
    """
    changed = edited(
        dataset, only=only, find=find, replacement=replacement, prefix=prefix, suffix=suffix, trigger=trigger.strip(), captions=captions
    )
    return Read(changed, dataset_table(changed))


@node("DatasetFromImages", category="training/dataset", display_name="Dataset from Images", lane="io")
def dataset_from_images(
    ctx: Context,
    images: Variadic[Image],
    captions: Lines = "",
    regularisation: bool = False,
    weight: Weight = 1.0,
    repeats: Repeats = 1,
    own_size: bool = False,
) -> Dataset:
    """Make a dataset of pictures that the graph made.

    captions: one a line for each picture in turn, or one for all.
    regularisation: the pictures show the class, not the subject (prior preservation).
    weight: of the loss of these pictures.
    own_size: train each picture at the size it has, without Buckets.
    """
    pictures = [picture for batch in images for picture in batch]
    folder: Path = ctx.folders.state / "made_pictures"
    lines = [line.strip() for line in captions.splitlines() if line.strip()] or [""]
    return dataset_of(pictures, lines, folder, regularisation=regularisation, weight=weight, repeats=repeats, own_size=own_size)


@node("MakeRegularisation", category="training/dataset", display_name="Make Regularisation Pictures")
def make_regularisation(
    model: Model,
    clip: Clip,
    vae: Vae,
    dataset: Dataset,
    class_words: Line = "",
    count: Annotated[int, Field(ge=0, le=MOST)] = 0,
    negative: Line = "",
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    weight: Weight = 1.0,
) -> Dataset | Expand:
    """Let the base model draw pictures of the class, so that it does not forget what the class looks like (prior preservation).

    Only what is missing is drawn: a dataset that has enough regularisation pictures is given on as it is.

    dataset: pictures of the subject with their buckets, and regularisation pictures if there are any.
    class_words: what the subject is one of (`dog`). It stands for the trigger in the captions that are drawn; several, separated by
        commas, take turns. Empty: the dataset's class word.
    count: how many regularisation pictures there shall be; 0: as many as pictures of the subject.
    negative: what the pictures should not be.
    seed, steps, cfg, sampler_name, scheduler: as of KSampler.
    weight: of the loss of these pictures.
    """
    groups = missing(dataset, class_words, count)
    if not groups:
        return dataset
    graph = Graph()

    def add(name: str, kind: str, **inputs: object) -> Link:
        graph.nodes[name] = Node(name, kind, inputs)
        return Link(name, 0)

    against = add("negative", "CLIPEncode", text=negative, clip=clip)
    pictures = {}
    for number, group in enumerate(groups):
        latent = add(f"latent{number}", "EmptyLatent", width=group.width, height=group.height, batch_size=group.copies)
        prompt = add(f"prompt{number}", "CLIPEncode", text=group.prompt, clip=clip)
        drawn = add(
            f"draw{number}", "KSampler", model=model, positive=prompt, negative=against, latent_image=latent,
            seed=(seed + number) % 2**64, steps=steps, cfg=cfg, sampler_name=sampler_name, scheduler=scheduler,
        )  # fmt: skip
        pictures[f"images{number}"] = add(f"decode{number}", "VAEDecode", samples=drawn, vae=vae)
    captions = "\n".join(group.prompt for group in groups for _ in range(group.copies))
    made = add("made", "DatasetFromImages", **pictures, captions=captions, regularisation=True, weight=weight, own_size=True)
    return Expand(graph, (add("merged", "DatasetMerge", datasets0=dataset, datasets1=made),))


@node("DatasetPreview", category="training/dataset", display_name="Preview Dataset", lane="io")
def dataset_preview(
    ctx: Context,
    dataset: Dataset,
    first: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
    count: Annotated[int, Field(ge=1, le=64)] = 12,
    columns: Annotated[int, Field(ge=1, le=16)] = 4,
) -> Image:
    """Show pictures of a dataset as they are trained on: cut to their bucket, masked parts dark.

    first, count: which pictures, counted from 0.
    """
    chosen = dataset.examples[first : first + count]
    if not chosen:
        raise InvalidInput(f"The dataset has {len(dataset.examples)} pictures.", hint="Lower `first`.")
    pictures = [preview_of(example, ctx.job.max_pixels) for example in chosen]
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    return sheet([padded(picture[None], height, width)[0] for picture in pictures], min(columns, len(pictures)))

"""Datasets: folders of pictures with a caption in a text file beside each, below `datasets` of the data folder."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from engine.errors import BadRequest, Conflict, MissingFile, UnsafePath
from engine.graph.model_folders import kind_of
from engine.graph.paths import inside, parts_of
from engine.server.files import Incoming, find, new_file
from engine.server.pictures import size_of
from engine.server.responses import json_response
from engine.server.state import server_of
from engine.server.v1.forms import Paged
from engine.server.v1.routing import Answer, Query, Strict, Table, read_body, read_query

table = Table("datasets")

CAPTIONS = (".txt", ".caption")
"""Ends of the names of caption files, the preferred one first; a new one gets the first."""
LONGEST_CAPTION = 100_000
MOST_PICTURES = 100_000


class DatasetEntry(Answer):
    name: str
    pictures: int
    captions: int = Field(description="Pictures that have a caption of their own.")


class DatasetList(Answer):
    datasets: list[DatasetEntry]


class Picture(Answer):
    name: str = Field(description="With its folder inside the dataset. /api/v1/thumbnails/datasets/{dataset}/{name} is a small one.")
    caption: str | None = Field(description="Null when there is no caption file.")
    width: int | None = Field(description="Null when the file cannot be read as a picture.")
    height: int | None
    size: int
    modified: float = Field(description="Seconds since 1970.")


class LeftOut(Answer):
    name: str
    reason: str


class PictureList(Answer):
    pictures: list[Picture]
    total: int = Field(description="How many there are in all.")
    left_out: list[LeftOut] = Field(description="Files that are named as pictures and cannot be opened, such as links to elsewhere.")


class Caption(Answer):
    text: str


class CaptionRequest(Strict):
    """A caption."""

    text: str = Field(max_length=LONGEST_CAPTION)
    previous: str | None = Field(
        None, max_length=LONGEST_CAPTION, description="What the client read: 409 when the file says another thing."
    )


class BucketQuery(Query):
    """A plan of buckets, as the node Buckets takes it."""

    width: Annotated[int, Field(ge=64, le=8192, description="The wanted size; only its area counts, except for one_size.")] = 512
    height: Annotated[int, Field(ge=64, le=8192)] = 512
    smallest: Annotated[int, Field(ge=64, le=8192, description="Bounds of a side.")] = 256
    largest: Annotated[int, Field(ge=64, le=8192)] = 1024
    step: Annotated[int, Field(ge=8, le=512, description="What sides are multiples of.")] = 64
    rule: Literal["least_crop", "least_crop_no_upscale", "kohya", "kohya_no_upscale", "one_size"] = "least_crop"


class Fitted(Answer):
    name: str
    scale: float = Field(description="Over 1: it is enlarged.")
    cropped: float = Field(description="The share of its area that is cut off.")


class Bucket(Answer):
    width: int
    height: int
    pictures: list[Fitted]


class Misfit(Answer):
    name: str
    reason: str


class BucketTable(Answer):
    buckets: list[Bucket]
    misfits: list[Misfit] = Field(description="Pictures that fit no bucket.")


class PictureQuery(Paged):
    search: Annotated[str, Field(max_length=200, description="Only pictures whose name or caption contains this, in any case.")] = ""


@table.add("GET", "/datasets", answer=DatasetList)
async def datasets(request: web.Request) -> web.Response:
    """The folders below `datasets`, with the numbers of their pictures."""
    folders = server_of(request).folders

    def listed() -> list[dict[str, Any]]:
        found = []
        for name in folders.list("datasets"):
            names = _names(folders.resolve("datasets", name))
            pictures = [other for other in names if kind_of(other) == "image"]
            captions = sum(any(caption in names for caption in _caption_names(picture)) for picture in pictures)
            found.append({"name": name, "pictures": len(pictures), "captions": captions})
        return found

    return json_response({"datasets": await asyncio.to_thread(listed)})


@table.add("GET", "/datasets/{dataset}", query=PictureQuery, answer=PictureList)
async def pictures(request: web.Request) -> web.Response:
    """The pictures of a dataset by name, with their captions."""
    query, root = read_query(request, PictureQuery), _dataset(request)
    most = server_of(request).settings.max_pixels
    return json_response(await asyncio.to_thread(_listed, root, query, most))


@table.add("GET", "/datasets/{dataset}/buckets", query=BucketQuery, answer=BucketTable)
async def buckets(request: web.Request) -> web.Response:
    """The sizes at which the pictures of a dataset would be trained, and what is enlarged or cut off for that."""
    query, root = read_query(request, BucketQuery), _dataset(request)
    most = server_of(request).settings.max_pixels

    def sizes() -> dict[str, tuple[int, int]]:
        found = {name: size_of(inside(root, name), most) for name in _pictures(root)[0]}
        return {name: size for name, size in found.items() if size is not None}

    known = await asyncio.to_thread(sizes)
    asked = {"plan": query.model_dump(), "sizes": list(known.values())}
    chosen = (await server_of(request).supervisor.ask("buckets", asked))["chosen"]
    rows: dict[tuple[int, int], Bucket] = {}
    misfits = []
    for (name, (width, _)), bucket in zip(known.items(), chosen, strict=True):
        if isinstance(bucket, str):
            misfits.append(Misfit(name=name, reason=bucket))
            continue
        own_width, own_height, resized_width, resized_height = bucket
        row = rows.setdefault((own_width, own_height), Bucket(width=own_width, height=own_height, pictures=[]))
        lost = 1 - own_width * own_height / (resized_width * resized_height)
        row.pictures.append(Fitted(name=name, scale=resized_width / width, cropped=lost))
    return json_response(BucketTable(buckets=[rows[size] for size in sorted(rows)], misfits=misfits).model_dump())


@table.add("PUT", "/datasets/{dataset}/captions/{picture:.+}", body=CaptionRequest, answer=Caption)
async def caption(request: web.Request) -> web.Response:
    """Write the caption of a picture into the text file beside it."""
    wanted = await read_body(request, CaptionRequest)
    path = _picture(request)
    file = _caption_file(_dataset(request), request.match_info["picture"])

    def written() -> None:
        present = _caption(file) or ""
        if wanted.previous is not None and present != wanted.previous:
            raise Conflict("The caption was changed meanwhile", hint="Read it again.", details={"text": present})
        data = wanted.text.encode()
        incoming = Incoming(path.parent, len(data))
        try:
            incoming.write(data)
            incoming.place(file, overwrite=True)
        finally:
            incoming.discard()

    async with server_of(request).saving:
        await asyncio.to_thread(written)
    return json_response({"text": wanted.text})


@table.add("PUT", "/datasets/{dataset}/pictures/{picture:.+}", answer=Caption, status=201, raw_body=True)
async def put(request: web.Request) -> web.Response:
    """Store the body as a picture of a dataset, which is made if it is not there; the answer has the name that it got."""
    server, name = server_of(request), request.match_info["picture"]
    root = new_file(server.folders.datasets, parts_of(request.match_info["dataset"])[0])
    if kind_of(name) != "image":
        raise BadRequest(f"{name[:100]!r} is not named as a picture", hint="Names of pictures end in .png, .jpg or .webp.")
    path = new_file(root, name)
    incoming = Incoming(path.parent, int(server.settings.max_body))

    def placed() -> Path:
        incoming.check_picture(server.settings.max_pixels)
        return incoming.place(path, overwrite=False)

    try:
        await incoming.read(request.content)
        stored = await asyncio.to_thread(placed)
    finally:
        incoming.discard()
    return json_response({"text": stored.relative_to(root).as_posix()}, 201)


@table.add("DELETE", "/datasets/{dataset}/pictures/{picture:.+}", status=204)
async def delete(request: web.Request) -> web.Response:
    """Remove a picture of a dataset from the disk, and its caption, unless another picture of its name, such as `a.jpg` beside `a.png`,
    has the same one."""
    path = _picture(request)
    captions = [inside(_dataset(request), name) for name in _caption_names(request.match_info["picture"])]

    def removed() -> None:
        path.unlink(missing_ok=True)
        if any(other.stem == path.stem and kind_of(other.name) == "image" for other in path.parent.iterdir()):
            return
        for gone in captions:
            if not gone.is_dir():
                gone.unlink(missing_ok=True)

    await asyncio.to_thread(removed)
    return web.Response(status=204)


def _dataset(request: web.Request) -> Path:
    return find(server_of(request).folders, "datasets", request.match_info["dataset"])


def _picture(request: web.Request) -> Path:
    name = request.match_info["picture"]
    path = inside(_dataset(request), name)
    if kind_of(name) != "image" or not path.is_file():
        raise MissingFile(f"There is no picture {name[:100]!r} in the dataset", hint="/api/v1/datasets/{dataset} lists them.")
    return path


def _names(root: Path) -> frozenset[str]:
    """Relative names of the files of a dataset; links to other folders are not followed."""
    found: list[str] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(folder, name).relative_to(root).as_posix() for name in names if not name.startswith(".")]
        if len(found) > MOST_PICTURES:
            break
    return frozenset(found)


def _pictures(root: Path) -> tuple[list[str], list[LeftOut]]:
    """The pictures by name, and what is named as one and cannot be opened."""
    found, left_out = [], []
    for name in sorted(name for name in _names(root) if kind_of(name) == "image"):
        try:
            path = inside(root, name)
        except UnsafePath as error:
            left_out.append(LeftOut(name=name, reason=error.message))
            continue
        if path.is_file():
            found.append(name)
        else:
            left_out.append(LeftOut(name=name, reason="It is a link that leads nowhere, or it has just been removed."))
    return found, left_out


def _listed(root: Path, query: PictureQuery, max_pixels: int) -> dict[str, Any]:
    sought = query.search.casefold()
    chosen, left_out = _pictures(root)
    if sought:
        chosen = [name for name in chosen if sought in name.casefold() or sought in (_caption_of(root, name) or "").casefold()]
    page = chosen[query.start : query.start + query.limit]
    listed = PictureList(pictures=[_described(root, name, max_pixels) for name in page], total=len(chosen), left_out=left_out)
    return listed.model_dump()


def _described(root: Path, name: str, max_pixels: int) -> Picture:
    path = inside(root, name)
    status = path.stat()
    width, height = size_of(path, max_pixels) or (None, None)
    caption = _caption_of(root, name)
    return Picture(name=name, caption=caption, width=width, height=height, size=status.st_size, modified=status.st_mtime)


def _caption_names(picture: str) -> list[str]:
    return [Path(picture).with_suffix(end).as_posix() for end in CAPTIONS]


def _caption_file(root: Path, picture: str) -> Path:
    """The caption file that is there, else the one that a new caption gets. Raises UnsafePath for a link to elsewhere."""
    files = [inside(root, name) for name in _caption_names(picture)]
    return next((file for file in files if file.is_file()), files[0])


def _caption_of(root: Path, picture: str) -> str | None:
    try:
        return _caption(_caption_file(root, picture))
    except UnsafePath:
        return None  # it is told of where somebody asks for it


def _caption(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(LONGEST_CAPTION).decode("utf-8-sig", "replace")

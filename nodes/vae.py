"""Between pictures and latent images."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from engine.diffusion.conditioning import with_extras
from engine.diffusion.inpainting import fitted, greyed
from engine.diffusion.pixels.masks import grown_for_inpainting
from engine.diffusion.vae import Tile, decode, encode, factor_of
from engine.graph import Alias, Context, Widget, node
from engine.values.conditioning import Conditioning
from engine.values.image import Image, Mask
from engine.values.latent import Latent
from engine.values.model import Vae
from nodes.conditioning_math import Prepared

Overlap = Annotated[int, Field(ge=0, le=4096), Widget(step=32)]
Frames = Annotated[int, Field(ge=8, le=4096), Widget(step=4)]
SharedFrames = Annotated[int, Field(ge=4, le=4096), Widget(step=4)]
PREPARED = ("positive", "negative", "latent")


@node("VAEDecode", category="latent", display_name="VAE Decode", lane="device")
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Turn a latent image into a picture."""
    return decode(ctx.memory, vae, samples.samples)


@node("VAEEncode", category="latent", display_name="VAE Encode", lane="device")
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Turn a picture into a latent image, to draw over it. Its sides are cut to multiples of 8 pixels, evenly from both ends."""
    return Latent(encode(ctx.memory, vae, pixels))


@node("VAEDecodeTiled", category="latent", display_name="VAE Decode (Tiled)", lane="device")
def vae_decode_tiled(
    ctx: Context,
    samples: Latent,
    vae: Vae,
    tile_size: Annotated[int, Field(ge=64, le=4096), Widget(step=32)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: SharedFrames = 8,
) -> Image:
    """Turn a large latent image into a picture piece by piece, to save memory. Decoding in one does so by itself where it must.

    tile_size: side of a piece, in pixels of the picture.
    overlap: what neighbours share, at most a quarter of the side; seams are blended away over it.
    temporal_size, temporal_overlap: the same for the frames of a video; of no effect for pictures.
    """
    return decode(ctx.memory, vae, samples.samples, Tile(tile_size, overlap))


@node("VAEEncodeTiled", category="latent", display_name="VAE Encode (Tiled)", lane="device")
def vae_encode_tiled(
    ctx: Context,
    pixels: Image,
    vae: Vae,
    tile_size: Annotated[int, Field(ge=64, le=4096), Widget(step=64)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: SharedFrames = 8,
) -> Latent:
    """Turn a large picture into a latent image piece by piece, to save memory. Encoding in one does so by itself where it must.

    tile_size: side of a piece, in pixels of the picture.
    overlap: what neighbours share, at most a quarter of the side.
    temporal_size, temporal_overlap: the same for the frames of a video; of no effect for pictures.
    """
    return Latent(encode(ctx.memory, vae, pixels, Tile(tile_size, overlap)))


@node("VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)", lane="device")
def vae_encode_for_inpaint(
    ctx: Context, pixels: Image, vae: Vae, mask: Mask, grow_mask_by: Annotated[int, Field(ge=0, le=64), Widget(step=1)] = 6
) -> Latent:
    """Turn a picture into a latent image without what a mask selects, to draw that part anew at full denoise.

    grow_mask_by: pixels that the part to draw is larger than the mask, to hide the seam.
    """
    picture, selected = fitted(pixels, mask, factor_of(vae))
    return Latent(encode(ctx.memory, vae, greyed(picture, selected)), grown_for_inpainting(selected, grow_mask_by)[:, None])


@node(
    "InpaintConditioning",
    category="conditioning/inpaint",
    display_name="Inpaint Model Conditioning",
    lane="device",
    aliases=(Alias("InpaintModelConditioning", outputs=PREPARED),),
)
def inpaint_conditioning(
    ctx: Context, positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image, mask: Mask, noise_mask: bool = True
) -> Prepared:
    """Prepare a picture for a model that was trained to inpaint: it sees the rest of the picture and the mask.

    noise_mask: also keep the sampler from changing what the mask does not select.
    """
    picture, selected = fitted(pixels, mask, factor_of(vae))
    seen = encode(ctx.memory, vae, greyed(picture, selected))
    extras = {"concat_latent_image": seen, "concat_mask": selected[:, None]}
    latent = Latent(encode(ctx.memory, vae, picture), selected[:, None] if noise_mask else None)
    return Prepared(with_extras(positive, **extras), with_extras(negative, **extras), latent)


@node(
    "EditConditioning",
    category="conditioning/instructpix2pix",
    display_name="InstructPix2Pix Conditioning",
    lane="device",
    aliases=(Alias("InstructPixToPixConditioning", outputs=PREPARED),),
)
def edit_conditioning(ctx: Context, positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image) -> Prepared:
    """Prepare a picture for a model that edits pictures by instruction (InstructPix2Pix): it sees the picture and draws from noise."""
    seen = encode(ctx.memory, vae, pixels)
    extras = {"concat_latent_image": seen}
    return Prepared(with_extras(positive, **extras), with_extras(negative, **extras), Latent(torch.zeros_like(seen)))

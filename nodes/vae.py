"""Between pictures and latent images."""

from __future__ import annotations

from engine.diffusion.vae import decode, encode
from engine.graph import Context, node
from engine.values.image import Image
from engine.values.latent import Latent
from engine.values.model import Vae


@node("VAEDecode", category="latent", display_name="VAE Decode", lane="device")
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Turn a latent image into a picture."""
    return decode(ctx.memory, vae, samples.samples)


@node("VAEEncode", category="latent", display_name="VAE Encode", lane="device")
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Turn a picture into a latent image, to draw over it. Its sides are cut to multiples of 8 pixels, evenly from both ends."""
    return Latent(encode(ctx.memory, vae, pixels))

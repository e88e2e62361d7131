"""Small nodes that the tests of the graph engine share: drawing in words, with the shapes of ComfyUI's own nodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field

from engine.graph import Alias, Catalogue, Choice, Context, Lazy, Registry, Seed, Series, Shown, Variadic, Widget, node, port

T = TypeVar("T")

FILES = {"checkpoints": ("sub/small.safetensors", "tiny.safetensors"), "input:image": ("cat.png", "dog.png"), "output:image": ("made.png",)}


@port("MODEL", color="#b39ddb")
class Model(str):
    __slots__ = ()


@port("CLIP")
class Clip(str):
    __slots__ = ()


@port("VAE")
class Vae(str):
    __slots__ = ()


@port("LATENT", color="#ff9cf9")
class Latent(str):
    __slots__ = ()


@port("IMAGE")
class Image(str):
    __slots__ = ()


@port("MASK")
class Mask(str):
    __slots__ = ()


@port("CONDITIONING")
class Conditioning(str):
    __slots__ = ()


class Checkpoint(NamedTuple):
    model: Model
    clip: Clip
    vae: Vae


class Picture(NamedTuple):
    image: Image
    mask: Mask


@node(
    "LoadCheckpoint",
    category="loaders",
    lane="io",
    aliases=(
        Alias(
            "CheckpointLoaderSimple",
            display_name="Load Checkpoint",
            inputs={"ckpt_name": "checkpoint"},
            outputs=("MODEL", "CLIP", "VAE"),
            order=("ckpt_name",),
        ),
    ),
)
def load_checkpoint(checkpoint: Annotated[str, Choice("checkpoints")], precision: Literal["auto", "fp32"] = "auto") -> Checkpoint:
    """Read a model file."""
    return Checkpoint(Model(checkpoint), Clip(checkpoint), Vae(checkpoint))


@node("CLIPTextEncode", category="conditioning")
def encode(text: Annotated[str, Widget(multiline=True, dynamicPrompts=True)], clip: Clip) -> Conditioning:
    """Turn a text into conditioning."""
    return Conditioning(f"{text} by {clip}")


@node("EmptyLatentImage", category="latent")
def empty_latent(
    width: Annotated[int, Field(ge=16, le=16384), Widget(step=8)] = 512,
    height: Annotated[int, Field(ge=16, le=16384), Widget(step=8)] = 512,
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1,
) -> Latent:
    """A latent image of zeros."""
    return Latent(f"{width}x{height}x{batch_size}")


@node("KSampler", category="sampling", lane="device")
def ksampler(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    seed: Seed = 0,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 20,
    cfg: Annotated[float, Field(ge=0, le=100), Widget(step=0.1)] = 8.0,
    sampler_name: Literal["euler", "heun", "dpmpp_2m"] = "euler",
    denoise: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Latent:
    """Denoise a latent image along a schedule of falling noise levels.

    The second paragraph is for the reader of the source.

    Args:
        model: predicts the noise
        steps, cfg: how long, and
            how strongly guided
    Returns: the denoised latent
    """
    ctx.progress(steps, steps)
    return Latent(f"{latent_image} sampled {seed} {steps} {cfg} {sampler_name} {denoise}")


@node("VAEDecode", category="latent", lane="device")
def decode(samples: Latent, vae: Vae) -> Image:
    """Turn a latent image into pixels."""
    return Image(f"{samples} by {vae}")


@node("LoadImage", category="image", lane="io")
def load_image(image: Annotated[str, Choice("input:image"), Widget(image_upload=True)]) -> Picture:
    """Read a picture and its transparency."""
    return Picture(Image(image), Mask(image))


@node("InvertImage", category="image")
def invert(image: Image, strength: float = 1.0) -> Image:
    """Swap light and dark."""
    return Image(f"{image} inverted {strength}")


@node("MaskOrImage", category="image")
def mask_or_image(value: Image | Mask) -> Image:
    """Takes either."""
    return Image(value)


@node("SaveImage", category="image", lane="io", output_node=True)
def save_image(images: Image, filename_prefix: str = "Easel") -> Shown:
    """Write pictures."""
    return Shown({"images": [{"filename": f"{filename_prefix}_00001_.png", "subfolder": "", "type": "output"}], "text": [images]})


@node("PreviewAny", category="text", output_node=True)
def preview_any(source: Any) -> Shown:
    """Show a value as text."""
    return Shown({"text": [str(source)]})


@node("If", category="control", needs=lambda condition: ("when_true",) if condition else ("when_false",))
def if_(condition: bool, when_true: Lazy[T], when_false: Lazy[T]) -> T:
    """One of two values; the other is not computed."""
    return when_true if condition else when_false


@node("Join", category="text")
def join(texts: Variadic[str], separator: str = ", ") -> str:
    """Put texts one after another."""
    return separator.join(texts)


@node("Collect", category="control")
def collect(values: Variadic[T]) -> Series[T]:
    """Several values as one series."""
    return values


@node("Total", category="control")
def total(numbers: Series[float]) -> float:
    """The sum of a series."""
    return sum(numbers)


@node("Number", category="primitive")
def number(value: int, loops: Annotated[int, Field(ge=0), Widget(optional=True)] = 1) -> int:
    """A whole number."""
    return value * loops


@node("Options", category="control")
def options(mask: Mask | None = None, code: Annotated[str, Field(pattern="^[a-z]*$", max_length=5)] = "", flag: bool = False) -> str:
    """Optional inputs."""
    return f"{mask} {code} {flag}"


def catalogue() -> Catalogue:
    """The nodes of this module as data, with a few files."""
    import sys

    registry = Registry()
    registry.add_module(sys.modules[__name__])
    return registry.catalogue(FILES)

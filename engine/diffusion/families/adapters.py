"""How adapter files name the modules of a family's networks, and which modules a LoRA usually changes.

Sources: the names and sets of kohya's sd-scripts; the names of diffusers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from engine.diffusion.families.renaming import Renaming


class Place(NamedTuple):
    """Where kohya's format keeps a module: the stored module's path, and which of the modules that are one there, by their rows."""

    stored: str
    piece: int = 0


class Names(Protocol):
    """Paths of one network's modules <-> paths in kohya's format, both with dots."""

    def place(self, path: str) -> Place: ...

    def modules(self, stored: str) -> tuple[str, ...]:
        """The modules that a stored one holds, in the order of its rows. A module's own path stands for itself."""


@dataclass(frozen=True)
class UnetNames:
    """A U-Net. original: whether files use the names of the original implementation (SDXL) or those of diffusers (SD1, SD2)."""

    renaming: Renaming
    original: bool

    def place(self, path: str) -> Place:
        return Place((self.renaming.to_stored(path) or path) if self.original else path)

    def modules(self, stored: str) -> tuple[str, ...]:
        return (self.renaming.to_module(stored) or stored,)


class TextNames:
    """A text encoder of CLIP. Files write `text_model.`, which transformers' module may or may not have; here paths lack it."""

    def place(self, path: str) -> Place:
        return Place("text_model." + path.removeprefix("text_model."))

    def modules(self, stored: str) -> tuple[str, ...]:
        return (stored.removeprefix("text_model."),)


class SameNames:
    """A network whose modules are called the same in files."""

    def place(self, path: str) -> Place:
        return Place(path)

    def modules(self, stored: str) -> tuple[str, ...]:
        return (stored,)


class BlockNames:
    """A transformer of numbered blocks. table: stored path -> module paths in the order of rows, `#` for the block's number."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self._modules = {stored: tuple(paths) for stored, paths in table.items()}
        self._places = {path: Place(stored, piece) for stored, paths in table.items() for piece, path in enumerate(paths)}

    def place(self, path: str) -> Place:
        general, number = _numberless(path)
        stored, piece = self._places.get(general, Place(path))
        return Place(stored.replace("#", number), piece)

    def modules(self, stored: str) -> tuple[str, ...]:
        general, number = _numberless(stored)
        return tuple(path.replace("#", number) for path in self._modules.get(general, (general,)))


def _numberless(path: str) -> tuple[str, str]:
    found = re.search(r"blocks\.(\d+)\.", path)
    return (path, "") if found is None else (path[: found.start(1)] + "#" + path[found.end(1) :], found[1])


@dataclass(frozen=True)
class AdapterPart:
    """The adapters of one network.

    kohya: what names begin with in kohya's files, followed by the stored path with `_` for `.`. dotted: the same in diffusers' files,
    with dots. also: further beginnings that are read; those that end in `_` are followed by a path with `_`.
    root: what transformers' or diffusers' module has before the paths that are used here.
    names(config): of the network with these constructor arguments, or of the usual one for None. known: paths that it may have.
    transformer: modules that a LoRA changes; attention: those of them in attentions; convolutions: those that a LoCon adds.
    """

    kohya: str
    dotted: str
    also: tuple[str, ...]
    names: Callable[[Mapping[str, Any] | None], Names]
    known: re.Pattern[str]
    transformer: re.Pattern[str]
    attention: re.Pattern[str]
    convolutions: re.Pattern[str] | None = None
    root: str = ""


@dataclass(frozen=True)
class Adapters:
    """The adapters of a family.

    parts: by the networks' names. marks: a text that occurs in the names of this family's files and in no other's, as a pattern.
    base_model_version: kohya's `ss_base_model_version`. architecture, implementation: those of `modelspec`, the former without its
    end "/lora". objective: what its networks predict ("eps", "flow"). resolution: of usual training pictures, in pixels.
    """

    family: str
    title: str
    parts: Mapping[str, AdapterPart]
    marks: re.Pattern[str]
    base_model_version: str
    architecture: str
    implementation: str
    objective: str
    resolution: int


_TRANSFORMER = r"(?:down_blocks|up_blocks)\.\d+\.attentions\.\d+\.|mid_block\.attentions\.\d+\."
_BLOCK = r"(?:down_blocks|up_blocks)\.\d+\.|mid_block\."


def unet_part(names: Callable[[Mapping[str, Any] | None], Names]) -> AdapterPart:
    """A UNet2DConditionModel of any family."""
    projections = r"transformer_blocks\.\d+\.attn[12]\.(?:to_q|to_k|to_v|to_out\.0)"
    return AdapterPart(
        kohya="lora_unet_",
        dotted="unet.",
        also=("lycoris_", "diffusion_model.", "model.diffusion_model.", "base_model.model."),
        names=names,
        known=re.compile(r"(?:down_blocks|up_blocks|mid_block|conv_in|conv_out|conv_norm_out|time_embedding|add_embedding)(?:\.|$)"),
        transformer=re.compile(rf"(?:{_TRANSFORMER})(?:proj_in|proj_out|{projections}|transformer_blocks\.\d+\.ff\.net\.(?:0\.proj|2))"),
        attention=re.compile(rf"(?:{_TRANSFORMER}){projections}"),
        convolutions=re.compile(rf"(?:{_BLOCK})(?:resnets\.\d+\.(?:conv1|conv2|time_emb_proj|conv_shortcut)|(?:down|up)samplers\.0\.conv)"),
    )


def clip_part(kohya: str, dotted: str, *also: str, root: str = "") -> AdapterPart:
    """A text encoder of CLIP. kohya, dotted, also: what names begin with, before `text_model.`."""
    layer = r"(?:text_model\.)?encoder\.layers\.\d+\."
    attention = r"self_attn\.(?:q_proj|k_proj|v_proj|out_proj)"
    return AdapterPart(
        kohya=kohya,
        dotted=f"{dotted}text_model.",
        also=(dotted, *also, "base_model.model."),
        root=root,
        names=lambda config: TextNames(),
        known=re.compile(r"(?:text_model\.)?(?:embeddings|encoder\.layers|final_layer_norm|text_projection)(?:\.|$)"),
        transformer=re.compile(rf"{layer}(?:{attention}|mlp\.fc[12])"),
        attention=re.compile(layer + attention),
    )


def t5_part(kohya: str, dotted: str, *also: str) -> AdapterPart:
    """The encoder of T5."""
    attention = r"encoder\.block\.\d+\.layer\.0\.SelfAttention\.[qkvo]"
    return AdapterPart(
        kohya=kohya,
        dotted=dotted,
        also=also,
        names=lambda config: SameNames(),
        known=re.compile(r"(?:shared|encoder\.block|encoder\.final_layer_norm)(?:\.|$)"),
        transformer=re.compile(rf"{attention}|encoder\.block\.\d+\.layer\.1\.DenseReluDense\.(?:wi|wi_0|wi_1|wo)"),
        attention=re.compile(attention),
    )


def transformer_part(table: Mapping[str, Sequence[str]], transformer: str, attention: str) -> AdapterPart:
    """A transformer of numbered blocks (SD3, Flux). table: see BlockNames. transformer, attention: patterns of module paths."""
    roots = sorted({path.partition(".")[0] for paths in table.values() for path in paths})
    return AdapterPart(
        kohya="lora_unet_",
        dotted="transformer.",
        also=("lora_transformer_", "lycoris_", "diffusion_model.", "base_model.model."),
        names=lambda config: BlockNames(table),
        known=re.compile(rf"(?:{'|'.join(roots)})(?:\.|$)"),
        transformer=re.compile(transformer),
        attention=re.compile(attention),
    )

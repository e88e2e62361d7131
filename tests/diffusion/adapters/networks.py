"""The networks of each family as diffusers and transformers build them: of full size without memory, and small ones to compute with."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.diffusion.adapters.targets import Network

SDXL_UNET = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15_UNET = {"block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768, "attention_head_dim": 8, "layers_per_block": 2}
SMALL_UNET = {"block_out_channels": [32, 64, 64], "norm_num_groups": 8, "cross_attention_dim": 32, "attention_head_dim": [2, 2, 2]}
SMALL_SDXL = {**SDXL_UNET, **SMALL_UNET, "transformer_layers_per_block": [1, 1, 1], "addition_time_embed_dim": 8}
SMALL_SDXL["projection_class_embeddings_input_dim"] = 80
SMALL_SD15 = {
    "block_out_channels": [16, 32], "layers_per_block": 1, "cross_attention_dim": 32, "attention_head_dim": 2, "norm_num_groups": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}  # fmt: skip
SMALL_FLUX = {
    "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 16,
    "pooled_projection_dim": 16, "in_channels": 4, "axes_dims_rope": (2, 2, 4), "guidance_embeds": True,
}  # fmt: skip
SMALL_SD3 = {
    "num_layers": 2, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 16, "pooled_projection_dim": 16,
    "caption_projection_dim": 16, "sample_size": 8, "pos_embed_max_size": 8, "in_channels": 4, "dual_attention_layers": (0,),
}  # fmt: skip
CLIP_L = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
CLIP_G = CLIPTextConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280)
SMALL_CLIP = CLIPTextConfig(
    hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=100, projection_dim=16
)

BUILDERS = {
    "sd15 unet": ("sd15", "unet", lambda: UNet2DConditionModel(**SD15_UNET)),
    "sd15 text_encoder": ("sd15", "text_encoder", lambda: CLIPTextModel(CLIP_L)),
    "sdxl unet": ("sdxl", "unet", lambda: UNet2DConditionModel(**SDXL_UNET)),
    "sdxl text_encoder": ("sdxl", "text_encoder", lambda: CLIPTextModel(CLIP_L)),
    "sdxl text_encoder_2": ("sdxl", "text_encoder_2", lambda: CLIPTextModelWithProjection(CLIP_G)),
    "flux transformer": ("flux", "transformer", lambda: FluxTransformer2DModel(guidance_embeds=True)),
    "sd3 transformer": ("sd3", "transformer", lambda: SD3Transformer2DModel(num_layers=24, dual_attention_layers=tuple(range(13)))),
}

SMALL = {
    "sd15 unet": lambda: UNet2DConditionModel(**SMALL_SD15),
    "sd15 text_encoder": lambda: CLIPTextModel(SMALL_CLIP),
    "sdxl unet": lambda: UNet2DConditionModel(**SMALL_SDXL),
    "sdxl text_encoder_2": lambda: CLIPTextModelWithProjection(SMALL_CLIP),
    "flux transformer": lambda: FluxTransformer2DModel(**SMALL_FLUX),
    "sd3 transformer": lambda: SD3Transformer2DModel(**SMALL_SD3),
}


def network(name: str, module: nn.Module | None = None) -> Network:
    """A network of full size; or that of a module."""
    family, part, build = BUILDERS[name]
    if module is None:
        with torch.device("meta"):
            module = build()
    shapes = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    return Network(family, part, shapes, dict(module.config) if part == "unet" else None)

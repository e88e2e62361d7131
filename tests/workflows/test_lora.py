"""The workflow with a LoRA: what is in the file changes the picture as the same change of the model does."""

import numpy as np

from tests.workflows.conftest import STRONGER, Studio


def with_stronger_model(studio: Studio) -> np.ndarray:
    """The picture of the workflow, drawn with the model that the LoRA was taken from, and no LoRA."""
    nodes = {
        "checkpoint": {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": "tiny-shapes.safetensors"}},
        "stronger": {"class_type": "UNetCrossAttentionMultiply", "inputs": {"model": ["checkpoint", 0], **STRONGER}},
        "positive": {"class_type": "CLIPEncode", "inputs": {"text": "a red circle on a white background", "clip": ["checkpoint", 1]}},
        "negative": {"class_type": "CLIPEncode", "inputs": {"text": "", "clip": ["checkpoint", 1]}},
        "latent": {"class_type": "EmptyLatent", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "sampler": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["stronger", 0], "positive": ["positive", 0], "negative": ["negative", 0], "latent_image": ["latent", 0],
                "seed": 2, "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        },
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "stronger"}},
    }  # fmt: skip
    return studio.picture(studio.run_nodes(nodes))


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def test_a_lora_from_a_file_changes_the_picture_as_its_source_does(studio, my_lora):
    plain, changed = studio.draw("text_to_image"), studio.draw("lora")
    assert distance(plain, changed) > 1
    assert distance(with_stronger_model(studio), changed) < 0.1 * distance(plain, changed)


def test_at_strength_zero_it_is_the_plain_picture(studio, my_lora):
    zero = studio.draw("lora", "lora.strength_model=0", "lora.strength_clip=0")
    assert np.array_equal(zero, studio.draw("text_to_image"))

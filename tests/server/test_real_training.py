"""Train LoRA on the embedded model as a job of a real server and worker: it makes way, and nothing that happens to it changes a bit.

A pack in the data folder holds the training at a step until a file is gone, so that nothing here depends on how fast it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.graph import Workflow
from engine.server.state import SERVER
from nodes.conditioning import clip_encode
from nodes.dataset import augmentation, buckets, cache_dataset, caption_policy, dataset_from_folder
from nodes.image import save_image
from nodes.latent import empty_latent
from nodes.loaders import load as load_checkpoint
from nodes.lora_files import save_lora
from nodes.sampling import ksampler
from nodes.training import train_lora
from nodes.training_settings import adapter_spec, objective, optimizer, train_plan
from nodes.vae import vae_decode
from tests.diffusion.training.drawn import caption, picture
from tests.server.serving import Api, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELD_STEP, STEPS = 4, 6

PACK = f"""
import time
from pathlib import Path

import nodes.training

train = nodes.training.train
output = Path(__file__).parents[1] / "output"


def held(trainer, until, keep, *, tell, check):
    def patient():
        while trainer.step == {HELD_STEP} and (output / "hold").exists():
            (output / "held").touch()
            check()
            time.sleep(0.005)
        check()

    return train(trainer, until, keep, tell=tell, check=patient)


nodes.training.train = held
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory) -> AsyncIterator[Api]:
    """A server for several tests."""
    async with server(made(tmp_path_factory.mktemp("training") / "data")) as api:
        yield api


def made(folder: Path) -> Path:
    """A data folder with five pictures of two shapes, and the pack that holds trainings."""
    for number in range(5):
        picture(folder / f"datasets/mine/{number}.png", 96 if number % 2 else 64, 64, seed=number)
        caption(folder / f"datasets/mine/{number}.txt", f"sks shape, large, number {number}, on white")
    (folder / "output").mkdir()
    (folder / "custom_nodes").mkdir()
    (folder / "custom_nodes/gate.py").write_text(PACK)
    return folder


def server(data: Path) -> Any:
    return serving(data, packages=("nodes",), precision="fp32", device="cpu")


def training(name: str, *, rules: str = "", steps: int = STEPS, save_every: int = 3) -> dict[str, Any]:
    """With everything on that draws random numbers or keeps a state: shuffled buckets and captions, dropout of captions, flips and crops,
    all dropouts of the adapter, averages, accumulation, checkpointing, the text encoder.

    rules: blank lines say the same in other words, so that nothing comes from the cache.
    """
    with Workflow() as workflow:
        checkpoint = load_checkpoint("tiny-shapes.safetensors")
        dataset = caption_policy(dataset_from_folder("mine", trigger="sks shape").dataset, shuffle=True, keep_tokens=1, dropout=0.2)
        sized = buckets(augmentation(dataset, flip=True, random_crop=True), resolution=72, min_side=64, max_side=96, step=32)
        prepared = cache_dataset(sized.dataset, checkpoint.vae)
        spec = adapter_spec(
            rank=2, alpha=2.0, conv_rank=2, text_encoder=True, ranks=rules, dropout=0.1, rank_dropout=0.1, module_dropout=0.1
        )
        how = optimizer(rate=1e-3, text_rate=1e-4, ema=0.9, horizon=steps)
        plan = train_plan(steps=steps, save_every=save_every, batch_size=1, accumulation=2, seed=3, checkpointing=True, validate_every=3)
        goal = objective(weighting="min_snr", stratified=True, noise_offset=0.1)
        trained = train_lora(checkpoint.model, prepared.training_set, spec, goal, how, plan, checkpoint.clip)
        save_lora(trained.lora, name=name, dtype="float32")
    return workflow.to_json()


def drawing(negative: str) -> dict[str, Any]:
    """A picture on which, at a guidance of 1, the negative prompt has no influence."""
    with Workflow() as workflow:
        model, clip, vae = load_checkpoint("tiny-shapes.safetensors")
        words = [clip_encode(text, clip) for text in ("a red circle on a white background", negative)]
        empty = empty_latent(64, 64)
        latent = ksampler(model=model, positive=words[0], negative=words[1], latent_image=empty, seed=4, steps=3, cfg=1.0)
        save_image(vae_decode(latent, vae))
    return workflow.to_json()


async def until(found: Callable[[], Awaitable[Any]], seconds: float = 300) -> Any:
    async with asyncio.timeout(seconds):
        while not (result := await found()):
            await asyncio.sleep(0.02)
    return result


async def submit(api: Api, workflow: dict[str, Any]) -> str:
    return (await api.json("POST", "/api/v1/jobs", 201, data=json.dumps({"workflow": workflow})))["id"]


async def job_in(api: Api, job_id: str, *states: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        job = await api.json("GET", f"/api/v1/jobs/{job_id}")
        return job if job["state"] in states else None

    return await until(found)


async def done(api: Api, job_id: str) -> dict[str, Any]:
    job = await job_in(api, job_id, "succeeded", "failed", "cancelled", "parked")
    assert job["state"] == "succeeded", (job["reason"], job["failures"])
    return job


class Gate:
    """Holds trainings of this data folder at a step while it is closed."""

    def __init__(self, data: Path) -> None:
        self._hold, self._held = data / "output/hold", data / "output/held"

    def close(self) -> None:
        self._held.unlink(missing_ok=True)
        self._hold.touch()

    def open(self) -> None:
        self._hold.unlink()

    async def reached(self) -> None:
        async def there() -> bool:
            return self._held.exists()

        await until(there)


def lora(data: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(data / f"models/loras/{name}.safetensors")


def assert_same(data: Path, name: str) -> None:
    whole, other = lora(data, "whole"), lora(data, name)
    assert whole.keys() == other.keys() and any("lora_te" in key for key in whole) and any("lora_unet" in key for key in whole)
    assert all(torch.equal(tensor, other[key]) for key, tensor in whole.items())


def pixels(data: Path, job: dict[str, Any]) -> np.ndarray:
    shown = next(ui for ui in job["outputs"].values() if "images" in ui)["images"][0]
    return np.asarray(Image.open(data / "output" / shown["subfolder"] / shown["filename"]))


async def test_a_picture_is_drawn_during_a_training_which_comes_to_the_same(studio):
    data = studio.settings.data
    gate = Gate(data)
    before = await done(studio, await submit(studio, drawing("a blue cross")))
    whole = await done(studio, await submit(studio, training("whole")))
    assert whole["attempt"] == 1 and whole["preemptible"]
    gate.close()
    job_id = await submit(studio, training("interrupted", rules="\n"))
    await gate.reached()
    between = await done(studio, await submit(studio, drawing("a green ring")))
    assert (await studio.json("GET", f"/api/v1/jobs/{job_id}"))["finished"] is None
    gate.open()
    job = await done(studio, job_id)
    assert (job["attempt"], job["crashes"]) == (2, 0)
    assert_same(data, "interrupted")
    assert np.array_equal(pixels(data, before), pixels(data, between))


async def test_how_long_a_picture_waits_for_a_training(studio):
    """Printed; what is asserted leaves room for a machine that does much else."""
    endless = await submit(studio, training("never", steps=1_000_000, save_every=1_000_000))

    async def stepping() -> bool:
        events = (await studio.json("GET", f"/api/v1/jobs/{endless}/events"))["events"]
        return any(event["type"] == "custom" and event["name"] == "training" for event in events)

    try:
        await until(stepping)
        job = await done(studio, await submit(studio, drawing("a yellow star")))
        waited = job["started"] - job["created"]
        print(f"a picture waited {waited:.2f} s for a training to make way")
        assert waited < 60
        await job_in(studio, endless, "running")
    finally:
        await studio.json("POST", f"/api/v1/jobs/{endless}/cancel")
        await job_in(studio, endless, "cancelled")


@pytest.mark.slow
async def test_a_killed_worker_and_a_restarted_server_change_nothing(tmp_path):
    data = made(tmp_path / "data")
    gate = Gate(data)
    async with server(data) as api:
        await done(api, await submit(api, training("whole")))
        gate.close()
        job_id = await submit(api, training("killed", rules="\n"))
        await gate.reached()
        os.kill(api.server.app[SERVER].supervisor.pid, signal.SIGKILL)

        async def noticed() -> bool:
            return (await api.json("GET", f"/api/v1/jobs/{job_id}"))["crashes"] == 1

        await until(noticed)
    gate.open()
    async with server(data) as api:
        job = await done(api, job_id)
    assert job["crashes"] == 1 and job["attempt"] >= 2
    assert_same(data, "killed")

"""Values on the disk: bit-exact round trips of tensors, damage, and what cannot be stored."""

from __future__ import annotations

import pytest
import torch

from engine.errors import Unstorable
from engine.graph.disk_tier import DiskTier
from engine.graph.items import Item, Result, item_key
from engine.values.latent import Latent
from engine.values.store import SafetensorsStore

DIGEST = bytes(range(16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_tensors_come_back_bit_by_bit(tmp_path, dtype):
    tensor = torch.randn(3, 5).mul(10).to(dtype)
    SafetensorsStore().write(tmp_path / "a", {"x": tensor})
    read = SafetensorsStore().read((tmp_path / "a").read_bytes())["x"]
    assert read.dtype == dtype and torch.equal(read.view(torch.uint8), tensor.view(torch.uint8))


def test_views_shared_and_empty_tensors_and_those_with_gradients(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "all": base,
        "same": base,
        "part": base[1:3],
        "turned": base.T,
        "empty": base[:0],
        "scalar": torch.tensor(2.5),
        "grad": torch.ones(2, requires_grad=True),
    }
    SafetensorsStore().write(tmp_path / "a", tensors)
    read = SafetensorsStore().read((tmp_path / "a").read_bytes())
    assert set(read) == set(tensors) and all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert not read["grad"].requires_grad


@pytest.mark.parametrize("value", [torch.eye(2).to_sparse(), torch.empty(2, device="meta"), [1, 2]])
def test_what_cannot_be_stored_is_refused(tmp_path, value):
    with pytest.raises(Unstorable):
        SafetensorsStore().write(tmp_path / "a", {"x": value})


def test_a_damaged_file_is_a_value_error(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="cannot be read"):
        SafetensorsStore().read((tmp_path / "a").read_bytes())


def test_a_latent_survives_a_restart(tmp_path):
    latent = Latent(torch.randn(2, 4, 8, 8), noise_mask=torch.rand(1, 1, 64, 64), batch_index=(3, 1))
    tier = DiskTier(tmp_path, SafetensorsStore())
    tier.put(DIGEST, Result(((Item(latent, item_key(DIGEST, 0)),),), seconds=2.0), ("LATENT",))
    tier.close()
    tier = DiskTier(tmp_path, SafetensorsStore())
    (read,) = tier.load(DIGEST).outputs[0]
    assert torch.equal(read.value.samples, latent.samples) and torch.equal(read.value.noise_mask, latent.noise_mask)
    assert read.value.batch_index == (3, 1) and read.key == item_key(DIGEST, 0)
    tier.close()


def test_a_stored_file_that_is_altered_after_it_was_read_changes_nothing(tmp_path):
    tier = DiskTier(tmp_path, SafetensorsStore())
    latent = Latent(torch.ones(1, 4, 8, 8))
    tier.put(DIGEST, Result(((Item(latent, item_key(DIGEST, 0)),),), seconds=2.0), ("LATENT",))
    tier.flush()
    (read,) = tier.load(DIGEST).outputs[0]
    (file,) = tmp_path.glob("??/*")
    with file.open("r+b") as opened:
        opened.seek(-64, 2)
        opened.write(b"\xff" * 64)
    assert torch.equal(read.value.samples, latent.samples)
    assert tier.load(DIGEST) is None and tier.damaged == 1
    tier.close()

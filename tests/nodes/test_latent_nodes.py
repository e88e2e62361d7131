"""Latent nodes where no recorded figure covers them: formulas written out, and what must hold whatever the numbers."""

import pytest
import torch

from engine.errors import InvalidInput
from engine.values.latent import Latent
from nodes.latent_batch import latent_batch, latent_batch_seed_behavior, latent_from_batch, rebatch_latents, repeat_latent_batch
from nodes.latent_math import latent_add, latent_apply_operation, latent_interpolate, latent_operation_tonemap_reinhard
from nodes.latent_transform import latent_composite, latent_composite_masked, latent_crop, latent_cut, latent_upscale


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_interpolation_mixes_directions_and_lengths_apart():
    first, second = torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)
    first[0, 0], second[0, 1] = 2.0, 6.0
    mixed = latent_interpolate(Latent(first), Latent(second), 0.5).samples.flatten()
    torch.testing.assert_close(mixed, torch.tensor([1.0, 1.0, 0.0, 0.0]) / 2**0.5 * 4)


def test_interpolation_of_nothing_is_nothing():
    zeros = Latent(torch.zeros(1, 4, 2, 2))
    assert not latent_interpolate(zeros, zeros, 0.3).samples.any()


def test_a_feathered_composite_fades_only_at_edges_inside():
    below, above = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 4, 4)
    got = latent_composite(Latent(below), Latent(above), x=32, y=0, feather=16).samples[0, 0]
    ramp = torch.tensor([0.5, 1, 1, 1])  # left edge is inside, right edge is the border
    rows = torch.tensor([1, 1, 1, 0.5])  # top edge is the border, bottom edge is inside
    torch.testing.assert_close(got[:4, 4:], rows[:, None] * ramp)
    assert not got[4:].any() and not got[:, :4].any()


def test_what_hangs_over_the_border_is_cut_off_and_the_inputs_stay():
    below, above = Latent(torch.zeros(2, 4, 8, 8)), Latent(torch.ones(1, 4, 8, 8))
    got = latent_composite_masked(below, above, x=48, y=56).samples
    assert got.sum() == 2 * 4 * 2 * 1 and got[:, :, 7, 6:].all()
    assert not below.samples.any()


def test_composites_that_lie_outside_change_nothing():
    below, above = Latent(noise(1, 4, 8, 8)), Latent(torch.ones(1, 4, 8, 8))
    assert latent_composite(below, above, x=640, y=0).samples.equal(below.samples)
    assert latent_composite_masked(below, above, x=0, y=640).samples.equal(below.samples)


def test_a_composite_of_unequal_batches_is_refused():
    with pytest.raises(InvalidInput, match="3 latent images"):
        latent_composite(Latent(torch.zeros(2, 4, 8, 8)), Latent(torch.zeros(3, 4, 8, 8)))


def test_images_of_a_batch_keep_their_places_in_the_noise():
    batch = Latent(noise(4, 4, 8, 8), noise_mask=noise(4, 1, 64, 64))
    one = latent_from_batch(batch, 2, 2)
    assert one.batch_index == (2, 3) and one.samples.equal(batch.samples[2:4]) and one.noise_mask.equal(batch.noise_mask[2:4])
    assert latent_from_batch(one, 1).batch_index == (3,)
    assert latent_batch(one, Latent(noise(1, 4, 8, 8))).batch_index == (2, 3, 0)
    assert repeat_latent_batch(one, 3).batch_index == (2, 3, 4, 5, 6, 7)
    assert repeat_latent_batch(one, 3).noise_mask.shape[0] == 6
    assert repeat_latent_batch(Latent(noise(2, 4, 8, 8)), 2).batch_index is None
    assert latent_batch_seed_behavior(one, "fixed").batch_index == (2, 2)


def test_rebatching_divides_by_size_and_by_shape():
    small, large = Latent(noise(3, 4, 8, 8)), Latent(noise(2, 4, 16, 8, seed=1))
    batches = rebatch_latents((small, large), (2,))
    assert [tuple(batch.samples.shape) for batch in batches] == [(2, 4, 8, 8), (1, 4, 8, 8), (2, 4, 16, 8)]
    assert [batch.batch_index for batch in batches] == [(0, 1), (2,), (3, 4)]
    assert torch.cat([batches[0].samples, batches[1].samples]).equal(small.samples)


def test_rebatching_joins_lists_and_keeps_masks():
    batches = rebatch_latents(tuple(Latent(noise(1, 4, 8, 8, seed=k), torch.full((1, 1, 64, 64), float(k))) for k in range(3)), (8,))
    assert len(batches) == 1 and batches[0].noise_mask[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_sizes_of_zero_follow_from_the_other_side():
    latent = Latent(noise(1, 4, 16, 32))
    assert latent_upscale(latent, "bilinear", 0, 256).samples.shape[-2:] == (32, 64)
    assert latent_upscale(latent, "bilinear", 512, 0).samples.shape[-2:] == (32, 64)
    assert latent_upscale(latent, "bilinear", 0, 0) is latent


def test_a_crop_leaves_at_least_eight_pixels():
    latent = Latent(noise(1, 4, 16, 16))
    assert latent_crop(latent, 64, 64, 16_000, 8).samples.equal(latent.samples[:, :, 1:9, 8:16])


def test_cutting_counts_from_the_end_with_negative_numbers():
    latent = Latent(noise(1, 4, 8, 8))
    assert latent_cut(latent, "x", -2, 5).samples.equal(latent.samples[..., 6:])
    assert latent_cut(latent, "y", 100, 1).samples.equal(latent.samples[:, :, 7:])


def test_a_second_latent_of_another_size_is_scaled_and_repeated():
    got = latent_add(Latent(torch.zeros(3, 4, 8, 8)), Latent(torch.full((1, 4, 4, 4), 2.0)))
    assert got.samples.shape == (3, 4, 8, 8) and (got.samples == 2).all()


def test_tone_mapping_keeps_directions_and_shortens_what_is_long():
    samples = noise(1, 4, 8, 8)
    samples[..., 3, 3] *= 40
    got = latent_apply_operation(Latent(samples), latent_operation_tonemap_reinhard(1.0)).samples
    length = samples.norm(dim=1)
    top = 5 * length.std() + length.mean()
    torch.testing.assert_close(got.norm(dim=1), length / (1 + length / top))
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(got, samples, dim=1), torch.ones(1, 8, 8))

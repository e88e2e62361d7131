"""Picture and mask nodes where no recorded figure covers them, against formulas, scipy and Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from scipy import ndimage

from engine.errors import InvalidInput
from nodes.compositing import image_composite_masked, join_image_with_alpha, split_image_with_alpha
from nodes.image import load_image_output, save_animated_png, save_animated_webp, save_image
from nodes.image_batch import empty_image, image_batch, rebatch_images
from nodes.image_transform import (
    flux_kontext_image_scale,
    image_pad_for_outpaint,
    image_scale,
    image_scale_to_total_pixels,
    image_stitch,
)
from nodes.mask import crop_mask, grow_mask, image_color_to_mask, image_to_mask, load_image_mask, mask_preview
from nodes.post_processing import canny_edges, image_add_noise, image_blur, image_morphology


def picture(height: int, width: int, batch: int = 1, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


DIAMOND = ndimage.generate_binary_structure(2, 1)


@pytest.mark.parametrize(("tapered", "footprint"), [(True, DIAMOND), (False, np.ones((3, 3)))])
def test_masks_grow_and_shrink_as_grey_dilation_does(tapered, footprint):
    mask = picture(12, 17)[..., 0]
    grown, shrunk = mask[0].numpy(), mask[0].numpy()
    for _ in range(3):
        grown, shrunk = ndimage.grey_dilation(grown, footprint=footprint), ndimage.grey_erosion(shrunk, footprint=footprint)
    assert np.array_equal(grow_mask(mask, 3, tapered)[0], grown)
    assert np.array_equal(grow_mask(mask, -3, tapered)[0], shrunk)
    assert (grow_mask(mask, 16_384, tapered) == mask.max()).all()


def test_wide_morphology_is_scipys():
    image = picture(20, 15)
    got = image_morphology(image, "open", 5)[0, ..., 1]
    assert np.array_equal(got, ndimage.grey_opening(image[0, ..., 1], size=(5, 5), mode="nearest"))


def test_an_edge_is_one_white_line_and_weak_edges_count_where_they_touch_strong_ones():
    image = torch.zeros(1, 32, 32, 3)
    image[:, :, 16:] = torch.linspace(0.05, 1.0, 32)[None, :, None, None]
    alone = canny_edges(image, 0.8, 0.8)[0, ..., 0]
    joined = canny_edges(image, 0.2, 0.8)[0, ..., 0]
    assert set(joined.unique().tolist()) == {0.0, 1.0}
    assert alone.nonzero()[:, 1].unique().tolist() in ([15], [16])
    assert joined.sum() > alone.sum() + 5 and (joined >= alone).all()
    assert not canny_edges(image * 0.1, 0.2, 0.8).any()


def test_outpainting_fades_as_a_square_near_the_sides_that_grow():
    image = picture(20, 24)
    padded, mask = image_pad_for_outpaint(image, left=8, top=0, right=0, bottom=16, feathering=4)
    assert padded.shape == (1, 36, 32, 3) and (padded[:, :, :8] == 0.5).all() and padded[:, :20, 8:].equal(image)
    assert mask[0, :, :8].eq(1).all() and mask[0, 20:].eq(1).all()
    torch.testing.assert_close(mask[0, 0, 8:13], torch.tensor([1, (3 / 4) ** 2, (2 / 4) ** 2, (1 / 4) ** 2, 0]))
    torch.testing.assert_close(mask[0, 16:20, 31], torch.tensor([0, (1 / 4) ** 2, (2 / 4) ** 2, (3 / 4) ** 2]))
    assert not mask[0, 0, 13:].any()


def test_scaling_completes_a_size_and_keeps_the_shape():
    image = picture(20, 40)
    assert image_scale(image, "bilinear", 0, 40).shape[1:3] == (40, 80)
    assert image_scale(image, "bilinear", 10, 0).shape[1:3] == (5, 10)
    assert image_scale(image, "bilinear", 0, 0).shape[1:3] == (20, 40)
    assert image_scale_to_total_pixels(image, "area", 0.05).shape[1:3] == (162, 324)


def test_lanczos_is_pillows():
    image = picture(20, 40)
    pillow = Pillow.fromarray((image[0] * 255).to(torch.uint8).numpy()).resize((13, 9), Pillow.Resampling.LANCZOS)
    assert np.allclose(image_scale(image, "lanczos", 13, 9)[0] * 255, np.asarray(pillow), atol=1e-3)


@pytest.mark.parametrize(("size", "wanted"), [((64, 64), (1024, 1024)), ((94, 40), (1568, 672)), ((70, 140), (720, 1456))])
def test_kontext_takes_the_nearest_shape(size, wanted):
    assert flux_kontext_image_scale(picture(*size)).shape[1:3] == wanted


def test_stitching_scales_or_pads_the_second_picture():
    first, second = picture(10, 10), picture(5, 10, batch=2, seed=1)
    assert image_stitch(first, "right", True, image2=second).shape == (2, 10, 30, 3)
    padded = image_stitch(first, "right", False, 3, "red", second)
    assert padded.shape == (2, 10, 24, 3) and (padded[:, :, 10:14] == torch.tensor([1.0, 0, 0])).all()
    assert not padded[:, :2, 14:].any() and padded[:, 2:7, 14:].equal(second) and not padded[:, 7:, 14:].any()
    assert image_stitch(first, "up", False, image2=second)[:, :5].equal(second)


def test_alpha_is_split_off_and_joined_again():
    image = picture(6, 7, channels=4)
    colours, transparent = split_image_with_alpha(image)
    assert transparent.equal(1 - image[..., 3])
    torch.testing.assert_close(join_image_with_alpha(colours, transparent), image)
    assert image_to_mask(image, "alpha").equal(image[..., 3])
    with pytest.raises(InvalidInput, match="no alpha"):
        image_to_mask(colours, "alpha")


def test_a_picture_without_alpha_is_laid_opaque_on_one_that_has_it():
    below = torch.zeros(1, 4, 4, 4)
    assert image_composite_masked(below, torch.ones(1, 2, 2, 3), 1, 1)[0, 1:3, 1:3].eq(1).all()


def test_noise_is_that_of_the_seed():
    image = torch.full((1, 8, 8, 3), 0.5)
    noise = torch.randn(1, 8, 8, 3, generator=torch.Generator().manual_seed(9))
    assert image_add_noise(image, 9, 0.1).equal((image + 0.1 * noise).clamp(0, 1))


def test_a_blur_that_is_wider_than_the_picture_is_refused():
    with pytest.raises(InvalidInput, match="radius of 8"):
        image_blur(picture(8, 32), 8)


def test_a_mask_cut_outside_itself_is_refused():
    with pytest.raises(InvalidInput, match="outside the mask"):
        crop_mask(picture(8, 8)[..., 0], 8, 0)


def test_colours_are_numbers_of_red_green_blue():
    image = empty_image(3, 2, 2, 0xFF8001)
    assert image.shape == (2, 2, 3, 3) and (image[0, 0, 0] * 255).round().tolist() == [255, 128, 1]
    assert image_color_to_mask(image, 0xFF8001).all() and not image_color_to_mask(image, 0xFF8002).any()


def test_batches_are_joined_at_the_firsts_size_and_divided_by_shape():
    joined = image_batch(picture(8, 8), picture(4, 8, 2, channels=4))
    assert joined.shape == (3, 8, 8, 4) and joined[0, ..., 3].eq(1).all()
    batches = rebatch_images((picture(8, 8, 3), picture(4, 4, 1)), (2,))
    assert [tuple(batch.shape) for batch in batches] == [(2, 8, 8, 3), (1, 8, 8, 3), (1, 4, 4, 3)]


def test_a_channel_of_a_file_is_a_mask_and_alpha_is_inverted(ctx):
    Pillow.fromarray(np.array([[[255, 51, 0, 0], [0, 0, 0, 255]]], dtype=np.uint8)).save(ctx.folders.input / "a.png")
    assert load_image_mask(ctx, "a.png", "alpha").tolist() == [[[1.0, 0.0]]]
    torch.testing.assert_close(load_image_mask(ctx, "a.png", "green"), torch.tensor([[[0.2, 0.0]]]))


def test_masks_are_shown_as_grey_pictures(ctx):
    record = mask_preview(ctx, torch.tensor([[[0.0, 1.0]]])).ui["images"][0]
    assert record["type"] == "temp"
    assert np.asarray(Pillow.open(ctx.folders.temp / record["filename"])).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("save", [save_animated_png, save_animated_webp])
def test_animations_hold_all_frames_and_the_workflow(ctx, save):
    shown = save(ctx, picture(16, 16, 3), fps=5.0).ui
    path = ctx.folders.output / shown["images"][0]["filename"]
    with Pillow.open(path) as file:
        assert file.n_frames == 3 and shown["animated"] == [True]
        durations = []
        for frame in range(3):
            file.seek(frame)
            file.load()
            durations.append(file.info["duration"])
        assert durations == [200] * 3
        text = file.info.get("prompt") or file.getexif()[0x0110].removeprefix("prompt:")
    assert '"SaveImage"' in text


def test_a_saved_picture_is_loaded_again_from_the_outputs(ctx):
    image = (picture(4, 5) * 255).floor() / 255
    name = save_image(ctx, image, "again").ui["images"][0]["filename"]
    assert load_image_output(ctx, name).image.equal(image)

"""Pictures to tensors: what a user's files really contain."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import InvalidInput, QuotaExceeded
from engine.values.pictures import read_picture, to_pillow, write_png


def test_colours_and_alpha(tmp_path):
    picture = Image.new("RGBA", (2, 1), (255, 0, 51, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "a.png")
    image, mask = read_picture(tmp_path / "a.png")
    assert image.shape == (1, 1, 2, 3)
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    assert mask.tolist() == [[[0.0, 1.0]]]


def test_without_alpha_the_mask_is_empty(tmp_path):
    Image.new("RGB", (10, 20)).save(tmp_path / "a.png")
    image, mask = read_picture(tmp_path / "a.png")
    assert image.shape == (1, 20, 10, 3)
    assert mask.shape == (1, 64, 64) and not mask.any()


def test_a_palette_with_a_transparent_colour(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=1)
    image, mask = read_picture(tmp_path / "a.png")
    assert image[0, 0, 0].tolist() == [1, 0, 0]
    assert mask.tolist() == [[[0.0, 1.0]]]


def test_the_camera_s_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (4, 2), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg")[0].shape == (1, 4, 2, 3)


def test_sixteen_bit_greys_keep_their_levels(tmp_path):
    levels = np.array([[0, 1, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    image, _ = read_picture(tmp_path / "a.png")
    torch.testing.assert_close(image[0, 0, :, 0], torch.tensor([0, 1 / 65535, 32768 / 65535, 1.0]))


def test_frames_of_an_animation_are_a_batch(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = read_picture(tmp_path / "a.webp")
    assert image[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert len(mask) == 3


def test_what_is_written_is_read_back(tmp_path):
    image = torch.tensor([0.0, 0.5, 1.0]).expand(3, 5, 3).contiguous()
    write_png(tmp_path / "a.png", image, {"prompt": '{"ü": "日本"}'})
    assert Image.open(tmp_path / "a.png").text["prompt"] == '{"ü": "日本"}'
    torch.testing.assert_close(read_picture(tmp_path / "a.png")[0][0, 0, 0], torch.tensor([0.0, 127 / 255, 1.0]))


def test_levels_are_truncated_and_clipped():
    assert list(to_pillow(torch.tensor([[[-1.0, 0.999, 2.0]]])).getpixel((0, 0))) == [0, 254, 255]


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "evil.png").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"evil\.png"):
        read_picture(tmp_path / "evil.png")


def test_a_truncated_picture_is_refused(tmp_path):
    torch.manual_seed(0)
    to_pillow(torch.rand(64, 64, 3)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match="damaged"):
        read_picture(tmp_path / "a.png")


def test_a_picture_larger_than_the_limit_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (5000, 5000)).save(tmp_path / "bomb.png")
    with pytest.raises(QuotaExceeded, match="5000 x 5000"):
        read_picture(tmp_path / "bomb.png", max_pixels=1_000_000)


def test_a_picture_with_nan_is_refused_and_not_black():
    image = torch.full((2, 2, 3), 0.5)
    image[0, 1, 2] = float("nan")
    with pytest.raises(InvalidInput, match="it would be black"):
        to_pillow(image)

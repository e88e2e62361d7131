"""FreeU, HyperTile, token merging and deep shrink: compared with their formulas on the features and attention inputs of a small U-Net."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.utils.torch_utils import fourier_filter
from torch import Tensor, nn

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.inside.downscale import Downscale
from engine.diffusion.inside.freeu import FreeU, filtered
from engine.diffusion.inside.tiles_and_tokens import HyperTile, Merge, TokenMerging, joined, split
from engine.diffusion.inside.unet_blocks import input_blocks, output_blocks, transformers
from engine.diffusion.memory import Memory
from engine.diffusion.sampling.inside import Changes, Evaluation, Inside, Row
from engine.diffusion.sampling.prediction import prediction_of
from tests.diffusion import small_checkpoint

EPS = prediction_of("eps")


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    checkpoint = load_checkpoint(small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors"))
    with Memory(choose("cpu", "reference")).unet(checkpoint.model) as unet:
        yield unet


def computed(unet: nn.Module, *hooks: Inside, percent: float = 0.0, size: tuple[int, int] = (16, 16)) -> Tensor:
    """The U-Net's output on fixed inputs with changes inside it, at a point of the schedule."""
    generator = torch.Generator().manual_seed(1)
    x, words = torch.randn(2, 4, *size, generator=generator), torch.randn(2, 77, 64, generator=generator)
    sigma = torch.tensor(min(EPS.percent_to_sigma(percent), 14.6))
    evaluation = Evaluation(sigma, tuple(Row(side, 0, True) for side in (1, 0)), *size, EPS, {})
    with torch.no_grad(), Changes(hooks, evaluation).on(unet, 0, 2):
        return unet(x, torch.tensor([500.0, 500.0]), encoder_hidden_states=words, return_dict=False)[0]


def watched(unet: nn.Module, module: nn.Module, run: Callable[[], Any]) -> list[tuple]:
    """(positional inputs, keyword inputs, output) of a module during a run."""
    seen: list[tuple] = []
    handle = module.register_forward_hook(lambda m, args, kwargs, output: seen.append((args, kwargs, output)), with_kwargs=True)
    try:
        run()
    finally:
        handle.remove()
    return seen


CHANGES = {
    "freeu": FreeU(1.1, 1.2, 0.9, 0.2),
    "freeu v2": FreeU(1.3, 1.4, 0.9, 0.2, by_structure=True),
    "hypertile": HyperTile(tile_size=32, max_depth=1),
    "token merging": TokenMerging(0.4),
    "deep shrink": Downscale(),
}
NOTHING = {
    "freeu": FreeU(1.0, 1.0, 1.0, 1.0),
    "freeu v2": FreeU(1.0, 1.0, 1.0, 1.0, by_structure=True),
    "hypertile, one tile": HyperTile(tile_size=256),
    "token merging": TokenMerging(0.0),
    "deep shrink, factor 1": Downscale(factor=1.0),
    "deep shrink, later": Downscale(start_percent=0.5, end_percent=0.9),
    "deep shrink, no such block": Downscale(block=30),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_the_output_and_leaves_nothing_behind(unet, name):
    before = computed(unet)
    assert not torch.allclose(computed(unet, CHANGES[name]), before, atol=1e-4)
    assert computed(unet).equal(before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())


@pytest.mark.parametrize("name", NOTHING)
def test_a_change_turned_down_to_nothing_is_bit_identical(unet, name):
    assert computed(unet, NOTHING[name]).equal(computed(unet))


def test_a_failure_inside_leaves_nothing_behind(unet):
    def broken(network, evaluation):
        yield network.conv_in.register_forward_pre_hook(lambda module, args: None)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        computed(unet, FreeU(1.1, 1.2, 0.9, 0.2), broken)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())


def test_blocks_are_counted_as_in_the_original_implementation(unet):
    inputs, outputs = input_blocks(unet), output_blocks(unet)
    assert (len(inputs), len(outputs)) == (12, 12)
    assert [len(block.modules) for block in inputs] == [1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 1, 1]
    assert [len(block.modules) for block in outputs] == [1, 1, 2, 2, 2, 3, 2, 2, 3, 2, 2, 2]
    assert inputs[3].first is unet.down_blocks[0].downsamplers[0]
    assert outputs[8].last is unet.up_blocks[2].upsamplers[0]


@pytest.mark.parametrize("by_structure", [False, True])
def test_freeu_is_the_paper_s_formula_on_the_captured_features(unet, by_structure):
    change = FreeU(1.3, 1.4, 0.9, 0.2, by_structure=by_structure)
    base = unet.conv_in.out_channels
    blocks = list(zip(output_blocks(unet), reversed(input_blocks(unet)), strict=True))
    for number in (0, 4, 7, 11):
        block, source = blocks[number]
        own = block.first.in_channels - source.first.out_channels
        b, s = {4 * base: (1.3, 0.9), 2 * base: (1.4, 0.2)}.get(own, (1.0, 1.0))
        joined_features: list[Tensor] = []
        catch = block.first.register_forward_pre_hook(lambda module, args, found=joined_features: found.append(args[0]))
        seen = watched(unet, block.first, lambda: computed(unet, change))
        catch.remove()
        features, skip = joined_features[0].split([own, source.first.out_channels], dim=1)
        factor: Any = b
        if by_structure:
            mean = features.mean(1, keepdim=True)
            low, high = mean.flatten(1).min(1).values, mean.flatten(1).max(1).values
            factor = (b - 1) * (mean - low.view(-1, 1, 1, 1)) / (high - low).view(-1, 1, 1, 1) + 1
        wanted = features.clone()
        wanted[:, : own // 2] = wanted[:, : own // 2] * factor
        torch.testing.assert_close(seen[0][0][0], torch.cat([wanted, fourier_filter(skip, 1, s)], dim=1), atol=1e-5, rtol=1e-5)


def test_the_filter_of_freeu_scales_the_mean_and_leaves_fine_detail():
    flat = torch.full((1, 2, 8, 8), 3.0)
    checks = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8)).expand(1, 2, 8, 8)
    torch.testing.assert_close(filtered(flat, 0.25), flat * 0.25)
    torch.testing.assert_close(filtered(checks, 0.25), checks, atol=1e-5, rtol=0)


def test_tiles_are_rectangles_of_the_picture():
    x = torch.arange(4 * 6).view(1, 24, 1).float()
    tiles = split(x, 4, 6, 2, 3)
    assert tiles[:, :, 0].tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11], [12, 13, 14, 18, 19, 20], [15, 16, 17, 21, 22, 23]]
    assert joined(tiles, 4, 6, 2, 3).equal(x)


def test_hypertile_attends_within_tiles(unet):
    attention = transformers(unet)[0].transformer_blocks[0].attn1
    whole: list[Tensor] = []
    catch = attention.register_forward_pre_hook(lambda module, args: whole.append(args[0]))
    seen = watched(unet, attention, lambda: computed(unet, HyperTile(tile_size=32, swap_size=1)))
    catch.remove()
    tokens = whole[0].view(2, 16, 16, -1)
    for y in range(0, 16, 4):
        for x in range(0, 16, 4):
            tile = tokens[:, y : y + 4, x : x + 4].reshape(2, 16, -1)
            got = seen[0][2].view(2, 4, 4, 16, -1)[:, y // 4, x // 4]  # this hook ran before the tiles were put together
            with torch.no_grad():
                torch.testing.assert_close(got, attention(tile), atol=1e-5, rtol=1e-4)


def test_hypertile_leaves_coarser_layers_alone_and_changes_its_tiles(unet):
    deeper = transformers(unet)[2].transformer_blocks[0].attn1
    assert watched(unet, deeper, lambda: computed(unet, HyperTile(32, 1, 0)))[0][0][0].shape[0] == 2
    assert watched(unet, deeper, lambda: computed(unet, HyperTile(32, 1, 1)))[0][0][0].shape[0] == 2 * 4
    generator = torch.Generator().manual_seed(0)
    assert {HyperTile(swap_size=3).side(24, 4, generator) for _ in range(50)} == {4, 6, 8}
    assert HyperTile().side(7, 32, generator) == 7


def test_token_merging_joins_the_most_similar_queries_only(unet):
    attention = transformers(unet)[0].transformer_blocks[0].attn1
    args, kwargs, _ = watched(unet, attention, lambda: computed(unet, TokenMerging(0.5)))[0]
    assert args[0].shape[1] == 128
    assert kwargs["encoder_hidden_states"].shape[1] == 256


def test_merged_tokens_are_means_and_come_back_where_they_were():
    x = torch.randn(2, 36, 5, generator=torch.Generator().manual_seed(0))
    merge = Merge.of(x, 6, 6, 10, torch.Generator().manual_seed(1))
    merged, back = merge.merged(x), merge.unmerged(merge.merged(x))
    assert merged.shape == (2, 26, 5) and back.shape == x.shape
    unit = x / x.norm(dim=-1, keepdim=True)
    for image in range(2):
        goes = {int(token): int(merge.targets[place]) for token, place in zip(merge.gone[image], merge.into[image], strict=True)}
        for target in merge.targets.tolist():
            group = [target, *[token for token, into in goes.items() if into == target]]
            mean = x[image, group].mean(0)
            for token in group:
                torch.testing.assert_close(back[image, token], mean)
        for token in merge.kept[image].tolist():
            assert back[image, token].equal(x[image, token])
        likeness = {token: max(float(unit[image, token] @ unit[image, t]) for t in merge.targets.tolist()) for token in range(36)}
        assert min(likeness[token] for token in goes) >= max(likeness[token] for token in merge.kept[image].tolist()) - 1e-6
        squares = {(target // 6 // 2, target % 6 // 2) for target in merge.targets.tolist()}
        assert len(squares) == len(merge.targets) == 9


def test_merging_nothing_and_all_that_can_be():
    x = torch.randn(1, 15, 4, generator=torch.Generator().manual_seed(0))
    for count in (0, 15):
        merge = Merge.of(x, 3, 5, count, torch.Generator().manual_seed(1))
        back = merge.unmerged(merge.merged(x))
        assert back.shape == x.shape and back.equal(x) == (count == 0)


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("block", [1, 3, 11])
def test_deep_shrink_works_smaller_from_its_block_and_gives_the_full_size(unet, block, after_skip):
    sizes: dict[int, int] = {}
    handles = [
        part.last.register_forward_hook(lambda module, args, output, number=number: sizes.__setitem__(number, output[0].shape[-1]))
        for number, part in enumerate(input_blocks(unet))
    ]
    output = computed(unet, Downscale(block=block, after_skip=after_skip), size=(24, 16))
    for handle in handles:
        handle.remove()
    assert output.shape == (2, 4, 24, 16) and output.isfinite().all()
    plain = [16, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2]
    assert [sizes[number] for number in range(block + 1)] == plain[: block + 1]
    assert all(sizes[number] == max(1, plain[number] // 2) for number in range(block + 1, 12))


def test_deep_shrink_resizes_the_captured_features_by_its_method(unet):
    block = input_blocks(unet)[3]
    seen = watched(unet, block.last, lambda: computed(unet, Downscale(down="bilinear")))
    entered = watched(unet, input_blocks(unet)[4].first, lambda: computed(unet, Downscale(down="bilinear")))
    wanted = nn.functional.interpolate(seen[0][2], scale_factor=0.5, mode="bilinear")
    torch.testing.assert_close(entered[0][0][0], wanted)


def test_changes_work_together_and_are_the_same_every_time(unet):
    together = tuple(CHANGES.values())
    first, second = computed(unet, *together), computed(unet, *together)
    assert first.equal(second) and first.isfinite().all()

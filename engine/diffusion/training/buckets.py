"""Sizes to train at: pictures of like shape share a bucket, so that little of each is cut off and a batch is one tensor.

`kohya` and `kohya_no_upscale` are the rules of kohya's sd-scripts. `least_crop` weighs what is cut off against pixels that are not
used, symmetrically for wide and tall pictures; its `_no_upscale` form enlarges no picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from engine.errors import InvalidInput
from engine.values.dataset import Bucket, Dataset, Example, bucket_of

Rule = Literal["least_crop", "least_crop_no_upscale", "kohya", "kohya_no_upscale", "one_size"]
Size = tuple[int, int]

SMALLEST_AREA = 0.85  # of the wanted area, for `least_crop`
SIDES = range(8, 8193)  # of what is trained at, in pixels
LONGEST = 4.0  # side ratio, for `least_crop`
UNUSED_WEIGHT = 0.5  # of unused pixels against cropped ones, for `least_crop`
MUCH_CROPPED = 0.25


@dataclass(frozen=True)
class BucketPlan:
    """Which sizes there are. Pixels.

    width, height: the wanted size; only its area counts, except for `one_size`. smallest, largest: bounds of a side, step: what
    sides are multiples of. smallest and largest are of no effect for kohya_no_upscale, all three are for one_size.
    """

    width: int
    height: int
    smallest: int
    largest: int
    step: int
    rule: Rule = "least_crop"

    def __post_init__(self) -> None:
        """Raises InvalidInput."""
        bounds = () if self.rule == "one_size" else (self.smallest, self.largest, self.step)
        if odd := [side for side in (self.width, self.height, *bounds) if side not in SIDES]:
            raise InvalidInput(f"A side of {odd[0]} pixels cannot be trained at.", hint=f"Use {SIDES[0]} to {SIDES[-1]}.")
        if self.rule == "one_size":
            if self.width % 8 or self.height % 8:
                raise InvalidInput(f"A size of {self.width} x {self.height} cannot be trained at.", hint="Use multiples of 8.")
            return
        if self.step % 8:
            raise InvalidInput(f"Sides of buckets cannot be multiples of {self.step}.", hint="Use a multiple of 8; 64 suits every model.")
        for bound in (self.smallest, self.largest):
            if bound % self.step:
                raise InvalidInput(f"The bound {bound} of bucket sides is no multiple of the step {self.step}.", hint="Round it.")
        if self.smallest > min(self.width, self.height) or self.largest < max(self.width, self.height):
            raise InvalidInput(
                f"The resolution {self.width} x {self.height} is not within the bounds of bucket sides, {self.smallest} to {self.largest}.",
                hint="Lower min_side, raise max_side, or change the resolution.",
            )

    @property
    def area(self) -> int:
        return self.width * self.height

    def choose(self, width: int, height: int) -> Bucket:
        """The bucket for an upright picture of this size. Raises InvalidInput for a picture that is too small for any."""
        match self.rule:
            case "one_size":
                return covering(width, height, (self.width, self.height))
            case "kohya":
                return covering(width, height, _nearest_ratio(width, height, self._kohya_sizes))
            case "kohya_no_upscale":
                return _kohya_no_upscale(width, height, self.area, self.step)
            case "least_crop":
                return covering(width, height, _least_crop(width, height, self.area, self._sides(self.largest), self._sides(self.largest)))
            case "least_crop_no_upscale":
                widths, heights = self._sides(min(self.largest, width)), self._sides(min(self.largest, height))
                return covering(width, height, _least_crop(width, height, min(self.area, width * height), widths, heights))

    @cached_property
    def _kohya_sizes(self) -> list[Size]:
        return kohya_sizes(self)

    def _sides(self, largest: int) -> range:
        return range(self.smallest, largest + 1, self.step)


def covering(width: int, height: int, size: Size) -> Bucket:
    """Scale a picture so that it just covers a size."""
    if (width, height) == size:
        return Bucket(*size, *size)
    if width / height > size[0] / size[1]:
        scale = size[1] / height
    else:
        scale = size[0] / width
    return Bucket(*size, max(int(width * scale + 0.5), size[0]), max(int(height * scale + 0.5), size[1]))


def kohya_sizes(plan: BucketPlan) -> list[Size]:
    """kohya's list of (width, height), sorted: for every width the tallest height within the area, each also lying, and the square."""
    square = math.isqrt(plan.area) // plan.step * plan.step
    sizes = {(square, square)}
    for width in range(plan.smallest, plan.largest + 1, plan.step):
        height = min(plan.largest, plan.area // width // plan.step * plan.step)
        if height >= plan.smallest:
            sizes |= {(width, height), (height, width)}
    return sorted(sizes)


def _nearest_ratio(width: int, height: int, sizes: list[Size]) -> Size:
    if (width, height) in sizes:
        return width, height
    return min(sizes, key=lambda size: abs(size[0] / size[1] - width / height))


def _kohya_no_upscale(width: int, height: int, area: int, step: int) -> Bucket:
    resized = (width, height)
    ratio = width / height
    if width * height > area:
        wanted = math.sqrt(area * ratio)
        by_width, by_height = _rounded(wanted, step), _rounded(area / wanted, step)
        by_width_error = _ratio_error(by_width, _rounded(by_width / ratio, step), ratio)
        by_height_error = _ratio_error(_rounded(by_height * ratio, step), by_height, ratio)
        keep_width = by_width_error < by_height_error
        resized = (by_width, int(by_width / ratio + 0.5)) if keep_width else (int(by_height * ratio + 0.5), by_height)
    size = (resized[0] - resized[0] % step, resized[1] - resized[1] % step)
    if 0 in size:
        raise InvalidInput(
            f"A picture of {width} x {height} has no bucket: a side is under {step} pixels.", hint="Leave it out, or crop it."
        )
    return Bucket(*size, *resized)


def _rounded(side: float, step: int) -> int:
    whole = int(side + 0.5)
    return whole - whole % step


def _ratio_error(width: int, height: int, ratio: float) -> float:
    return abs(width / height - ratio) if width and height else math.inf


def _least_crop(width: int, height: int, area: int, widths: range, heights: range) -> Size:
    """Minimises the cropped fraction + UNUSED_WEIGHT * the fraction of the area that the bucket does not use.

    Sizes of at least SMALLEST_AREA of the area are preferred; where none exists, of as much as there is.
    """
    allowed = {w: own for w in widths if (own := _within(heights, w / LONGEST, min(w * LONGEST, area / w)))}
    if not allowed:
        raise InvalidInput(
            f"A picture of {width} x {height} is smaller than every bucket.",
            hint="Lower min_side, choose a rule that enlarges, or leave it out.",
        )
    floor = min(SMALLEST_AREA * area, max(w * own[-1] for w, own in allowed.items()))
    ratio = width / height

    def cost(size: Size) -> tuple[float, int]:
        return cropped(size[0] / size[1], ratio) + UNUSED_WEIGHT * (1 - size[0] * size[1] / area), -size[0] * size[1]

    return min(((w, h) for w, own in allowed.items() for h in _best(_within(own, floor / w, own[-1]), w / ratio)), key=cost)


def _within(sides: range, least: float, most: float) -> range:
    """Those of the sides from `least` to `most`."""
    first = max(0, math.ceil((least - sides.start) / sides.step))
    return sides[first : max(first, math.floor((most - sides.start) / sides.step) + 1)]


def _best(heights: range, equal: float) -> Iterator[int]:
    """Of all heights for one width those that can cost least; `equal` is the height in the picture's ratio. What is lost falls up to it,
    and from there on first rises and then falls, so that nothing between its neighbours and the ends can be less."""
    if heights:
        above = min(max(0, math.ceil((equal - heights.start) / heights.step)), len(heights) - 1)
        yield from sorted({heights[max(0, above - 1)], heights[above], heights[-1]})


def cropped(bucket_ratio: float, picture_ratio: float) -> float:
    """The fraction of a picture that is cut off; ratios are width / height."""
    return 1 - min(bucket_ratio / picture_ratio, picture_ratio / bucket_ratio)


def with_buckets(dataset: Dataset, plan: BucketPlan) -> Dataset:
    """The dataset with a bucket for every picture, and a warning for each that is enlarged or much cropped.

    Raises InvalidInput, naming them, if pictures fit no bucket.
    """
    chosen: list[Example] = []
    misfits: list[str] = []
    for example in dataset.examples:
        try:
            chosen.append(replace(example, bucket=plan.choose(example.width, example.height)))
        except InvalidInput as error:
            misfits.append(f"{example.name}: {error.message}")
    if misfits:
        raise InvalidInput(
            f"{len(misfits)} of {len(dataset.examples)} pictures fit no bucket. {_listed(misfits)}",
            hint="Lower min_side, choose a rule that enlarges, or leave them out.",
        )
    return replace(dataset, examples=tuple(chosen), warnings=(*dataset.warnings, *_warnings(chosen)))


def _warnings(examples: list[Example]) -> list[str]:
    enlarged, cut = [], []
    for example in examples:
        bucket = bucket_of(example)
        scale = bucket.resized_width / example.width
        if scale > 1:
            enlarged.append(f"{example.name} ({example.width} x {example.height}, {scale:.2f} times)")
        lost = 1 - bucket.width * bucket.height / (bucket.resized_width * bucket.resized_height)
        if lost > MUCH_CROPPED:
            cut.append(f"{example.name} ({lost:.0%})")
    found = []
    if enlarged:
        found.append(f"{len(enlarged)} pictures are smaller than their bucket and are enlarged: {_listed(enlarged)}")
    if cut:
        found.append(f"{len(cut)} pictures lose over {MUCH_CROPPED:.0%} of their area to the crop: {_listed(cut)}")
    return found


def _listed(items: list[str], most: int = 20) -> str:
    return "; ".join(items[:most]) + (f"; and {len(items) - most} more" if len(items) > most else "")

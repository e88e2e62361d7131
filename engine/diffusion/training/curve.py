"""The loss curve of a training as a picture and as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from engine.errors import InvalidInput
from engine.values.training import LossCurve

MARGIN = 60
RAW, SMOOTH, FIXED, PRIOR, INK, GRID = (190, 205, 225), (40, 90, 170), (200, 80, 30), (60, 140, 80), (40, 40, 40), (225, 225, 225)
SMOOTHING = 0.95

Point = tuple[float, float]


def draw_curve(curve: LossCurve, width: int = 900, height: int = 500) -> Image.Image:
    """An RGB picture: the loss of each step (pale), its running mean, that of the regularisation pictures, and the loss at fixed timesteps.

    Raises InvalidInput for no step.
    """
    if not curve.steps:
        raise InvalidInput("The loss curve has no step.", hint="Connect the curve of a training.")
    losses = [loss for _, loss, _ in curve.steps]
    smooth, prior = smoothed(losses), smoothed([loss for _, loss in curve.prior])
    top = 1.05 * max([*smooth, *prior, sorted(losses)[int(0.98 * (len(losses) - 1))], *(loss for _, loss in curve.validation)]) or 1.0
    last = max(curve.steps[-1][0], 2)
    picture = Image.new("RGB", (width, height), "white")
    canvas = ImageDraw.Draw(picture)

    def place(step: float, loss: float) -> Point:
        x = MARGIN + (step - 1) / (last - 1) * (width - 1.5 * MARGIN)
        return x, height - MARGIN + (1.5 * MARGIN - height) * min(loss, top) / top

    _axes(canvas, place, last, top)
    steps = [step for step, _, _ in curve.steps]
    canvas.line([place(step, loss) for step, loss in zip(steps, losses, strict=True)], fill=RAW, width=1)
    canvas.line([place(step, loss) for step, loss in zip(steps, smooth, strict=True)], fill=SMOOTH, width=3)
    canvas.line([place(step, loss) for (step, _), loss in zip(curve.prior, prior, strict=True)], fill=PRIOR, width=2)
    points = [place(step, loss) for step, loss in curve.validation]
    canvas.line(points, fill=FIXED, width=2)
    for x, y in points:
        canvas.ellipse((x - 4, y - 4, x + 4, y + 4), fill=FIXED)
    further = [("mean of the class", PRIOR)] * bool(prior) + [("fixed timesteps", FIXED)] * bool(points)
    _legend(canvas, [("each step", RAW), ("running mean", SMOOTH), *further])
    return picture


def smoothed(losses: Sequence[float]) -> list[float]:
    """The running mean with forgetting, without the pull of its start (as Adam's averages)."""
    mean, found = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**number))
    return found


def table(curve: LossCurve) -> str:
    """Lines of step, loss, learning rate, loss at fixed timesteps and loss of the regularisation pictures (empty where there is none), with
    a heading; CSV."""
    further = [{step: repr(loss) for step, loss in pairs} for pairs in (curve.validation, curve.prior)]
    rows = [",".join([f"{step},{loss!r},{rate!r}", *(found.get(step, "") for found in further)]) for step, loss, rate in curve.steps]
    return "\n".join(["step,loss,rate,fixed_loss,prior_loss", *rows]) + "\n"


def _axes(canvas: ImageDraw.ImageDraw, place: Callable[[float, float], Point], last: int, top: float) -> None:
    font = ImageFont.load_default(13)
    for loss in _ticks(top):
        start, end = place(1, loss), place(last, loss)
        canvas.line([start, end], fill=GRID)
        canvas.text((start[0] - 6, start[1]), f"{loss:g}", fill=INK, font=font, anchor="rm")
    for step in _ticks(last):
        if step >= 1:
            x, y = place(step, 0)
            canvas.text((x, y + 8), f"{step:g}", fill=INK, font=font, anchor="ma")
    canvas.line([place(1, top), place(1, 0), place(last, 0)], fill=INK)


def _legend(canvas: ImageDraw.ImageDraw, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    x, font = float(MARGIN), ImageFont.load_default(13)
    for text, color in entries:
        canvas.line([(x, 18), (x + 22, 18)], fill=color, width=3)
        canvas.text((x + 28, 18), text, fill=INK, font=font, anchor="lm")
        x += 50 + canvas.textlength(text, font=font)


def _ticks(top: float) -> list[float]:
    """About five round numbers from 0 up to top."""
    rough = top / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [number * step for number in range(int(top / step) + 1)]

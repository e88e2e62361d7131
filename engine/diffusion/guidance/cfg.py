"""Methods that change how the predictions of the two sides are combined, each as a hook of GuidanceOptions.

All work on denoised predictions [B, C, h, w] in float32. Where the negative side was not computed there is nothing to combine,
and they leave the prediction alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from engine.diffusion.sampling.guidance import Step, classifier_free

IMAGE = (1, 2, 3)
"""The dimensions of one image in a batch."""


@dataclass(frozen=True)
class RescaleCFG:
    """`combine`: CFG on velocities whose spread per image is brought back towards that of the positive side.

    Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4; multiplier is its phi.
    """

    multiplier: float = 0.7

    def __call__(self, step: Step) -> Tensor:
        if step.uncond is None:
            return step.cond
        norm = (step.sigma**2 + 1.0).sqrt()
        scaled = step.x / (step.sigma**2 + 1.0)

        def velocity(denoised: Tensor) -> Tensor:
            return (scaled - denoised) * norm / step.sigma

        cond, uncond = velocity(step.cond), velocity(step.uncond)
        mixed = uncond + step.scale * (cond - uncond)
        rescaled = mixed * (cond.std(dim=IMAGE, keepdim=True) / mixed.std(dim=IMAGE, keepdim=True))
        final = self.multiplier * rescaled + (1.0 - self.multiplier) * mixed
        return scaled - final * step.sigma / norm


@dataclass(frozen=True)
class RenormCFG:
    """`combine`: CFG that is never longer than the positive prediction, and none from a noise level on.

    Qin et al. 2025, "Lumina-Image 2.0: A Unified and Efficient Image Generative Framework", section 3.4. truncation: CFG is in force
    at levels below it (the paper's timestep is the level of a flow model). most: longest allowed length of each image in units of the
    positive prediction's; 0 for no limit.
    """

    truncation: float = 100.0
    most: float = 1.0

    def __call__(self, step: Step) -> Tensor:
        if step.uncond is None or float(step.sigma) >= self.truncation:
            return step.cond
        mixed = classifier_free(step)
        if self.most == 0:
            return mixed
        length = torch.linalg.vector_norm(mixed, dim=IMAGE, keepdim=True)
        longest = torch.linalg.vector_norm(step.cond, dim=IMAGE, keepdim=True) * self.most
        return torch.where(length >= longest, mixed * (longest / length), mixed)


@dataclass(frozen=True)
class CFGZeroStar:
    """`after`: the negative side scaled by its best fit to the positive one.

    Fan et al. 2025, "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models", the optimised scale.
    """

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        if step.uncond is None:
            return denoised
        cond, uncond = step.x - step.cond, step.x - step.uncond
        fit = (cond * uncond).sum(dim=IMAGE, keepdim=True) / ((uncond * uncond).sum(dim=IMAGE, keepdim=True) + 1e-8)
        return denoised + step.uncond * (fit - 1.0) + step.scale * step.uncond * (1.0 - fit)


@dataclass(frozen=True)
class CFGNorm:
    """`after`: the guided prediction is never longer, at any pixel, than the positive one (norm-limited CFG of recent flow models)."""

    strength: float = 1.0

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        ratio = step.cond.norm(dim=1, keepdim=True) / (denoised.norm(dim=1, keepdim=True) + 1e-8)
        return denoised * ratio.clamp(0.0, 1.0) * self.strength


@dataclass(frozen=True)
class TCFG:
    """`before`: of the negative side only the part along both sides' common direction is kept.

    Kwon et al. 2025, "TCFG: Tangential Damping Classifier-Free Guidance".
    """

    def __call__(self, step: Step) -> Step:
        if step.uncond is None:
            return step
        cond, uncond = (step.x - step.cond).flatten(1), (step.x - step.uncond).flatten(1)
        directions = torch.linalg.svd(torch.stack([uncond, cond], dim=1), full_matrices=False).Vh
        main = directions[:, 0]
        kept = (uncond * main).sum(dim=1, keepdim=True) * main
        return step.with_sides(step.cond, step.x - kept.view_as(step.x))


@dataclass(frozen=True)
class Mahiro:
    """`after`: the more the guided prediction points away from the negative one, the more the scaled positive one takes its place.

    Yoinked's direction-aware scaling ("Mahiro"), as published with its node; there is no paper.
    """

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        if step.uncond is None:
            return denoised
        leap = step.cond * step.scale
        similarity = cosine_similarity(_signed_root(step.uncond * step.scale), _signed_root((leap + denoised) / 2), dim=1).mean()
        weight = 2 * (similarity + 1)
        return (weight * denoised + (4 - weight) * leap) / 4


def _signed_root(values: Tensor) -> Tensor:
    return values.abs().sqrt() * values.sign()


@dataclass(frozen=True, eq=False)
class AdaptiveProjectedGuidance:
    """`before`: the guidance is limited in length, loses part of what lies along the positive side, and carries momentum.

    Sadat et al. 2024, "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models" (APG). The plain
    difference is added once on top, as the node of that name does. The momentum starts anew when the level rises.
    """

    eta: float = 1.0
    norm_threshold: float = 5.0
    momentum: float = 0.0

    def __call__(self, step: Step) -> Step:
        if step.uncond is None:
            return step
        difference = step.cond - step.uncond
        guidance = self._with_momentum(difference, step)
        if self.norm_threshold > 0:
            length = torch.linalg.vector_norm(guidance, dim=IMAGE, keepdim=True)
            guidance = guidance * (self.norm_threshold / length).clamp(max=1.0)
        unit = step.cond / torch.linalg.vector_norm(step.cond, dim=IMAGE, keepdim=True).clamp(min=1e-12)
        parallel = (guidance * unit).sum(dim=IMAGE, keepdim=True) * unit
        guidance = guidance - parallel + self.eta * parallel
        return step.with_sides(step.uncond + guidance + difference / step.scale, step.uncond)

    def _with_momentum(self, guidance: Tensor, step: Step) -> Tensor:
        if self.momentum == 0:
            return guidance
        last_sigma, average = step.memory.get(self, (step.sigma, None))
        if average is not None and step.sigma <= last_sigma:
            guidance = guidance + self.momentum * average
        step.memory[self] = (step.sigma, guidance)
        return guidance


@dataclass(frozen=True)
class FreSca:
    """`before`: low and high spatial frequencies of the guidance get weights of their own.

    Huang et al. 2025, "FreSca: Unveiling the Scaling Space in Diffusion Models". freq_cutoff: half the side of the low square.
    """

    scale_low: float = 1.0
    scale_high: float = 1.25
    freq_cutoff: int = 20

    def __call__(self, step: Step) -> Step:
        if step.uncond is None:
            return step
        return step.with_sides(step.uncond + self._filtered(step.cond - step.uncond), step.uncond)

    def _filtered(self, guidance: Tensor) -> Tensor:
        weights = torch.full(guidance.shape[-2:], self.scale_high, device=guidance.device)
        rows, columns = (_middle(size, self.freq_cutoff) for size in weights.shape)
        weights[rows, columns] = self.scale_low
        spectrum = torch.fft.fftshift(torch.fft.fft2(guidance), dim=(-2, -1)) * weights
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real


def _middle(size: int, reach: int) -> slice:
    centre = size // 2
    return slice(centre - min(reach, centre), centre + min(reach, centre))


@dataclass(frozen=True)
class EpsilonScaling:
    """`after`: the predicted noise divided by a factor, against its growth from step to step.

    Ning et al. 2024, "Elucidating the Exposure Bias in Diffusion Models".
    """

    scaling_factor: float = 1.005

    def __call__(self, step: Step, denoised: Tensor) -> Tensor:
        return step.x - (step.x - denoised) / self.scaling_factor

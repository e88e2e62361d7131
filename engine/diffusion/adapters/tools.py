"""Tools on LoRAs: another rank, several in one, the difference of two models. Each says how exact its result is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.adapters.changes import change_of, is_matrix
from engine.diffusion.adapters.layouts import kohya
from engine.diffusion.adapters.low_rank import folded, is_low_rank, rank_of
from engine.diffusion.adapters.reading import Modules, family_of, modules_of
from engine.diffusion.adapters.svd import Account, Cutting, Keep, Report, cut_matrix, cut_product
from engine.diffusion.adapters.targets import Network, targets
from engine.diffusion.families import ADAPTERS
from engine.diffusion.families.adapters import Adapters
from engine.diffusion.families.family import Config
from engine.diffusion.patched import patched_reader, patched_tensors
from engine.errors import InvalidInput
from engine.values.lora import Lora
from engine.values.model import Clip, Model

Change = Callable[[str, str, dict[str, Tensor]], dict[str, Tensor]]
Step = Callable[[int, int], None]
"""Called with the number of modules done and their total."""


class Made(NamedTuple):
    lora: Lora
    report: Report


def resize(lora: Lora, keep: Keep, step: Step = lambda done, total: None) -> Made:
    """A LoRA of another rank; adapters of other kinds that add to weights become LoRA. Biases and norms stay as they are.

    Raises InvalidInput for adapters whose change depends on the model.
    """
    adapters = family_of(lora)
    parts, unknown = modules_of(lora, adapters)
    account = Account()

    def resized(part: str, path: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        rest = {"bias": tensors["bias"]} if "bias" in tensors else {}
        if not is_matrix(tensors):
            return tensors
        cutting = cut_product(tensors, keep) if is_low_rank(tensors) else _cut_change(tensors, path, keep)
        account.add(f"{part}.{path}", cutting)
        return {**cutting.tensors, **rest}

    result = _each(parts, resized, step)
    return Made(_lora(result, adapters, lora.metadata, {name: lora.tensors[name] for name in unknown}), account.report())


def merge(loras: Sequence[Lora], weights: Sequence[float], keep: Keep | None = None, step: Step = lambda done, total: None) -> Made:
    """The sum of several adapters, each times its weight, as one.

    keep: None: exactly; LoRAs side by side, so that ranks add up, other kinds as whole differences. Else by singular values.
    Raises InvalidInput for adapters of different families, and for those whose change depends on the model.
    """
    families = [family_of(lora) for lora in loras]
    if len({adapters.family for adapters in families}) != 1:
        raise InvalidInput(
            f"The LoRAs are for different models: {', '.join(adapters.title for adapters in families)}.", hint="Merge those of one."
        )
    adapters = families[0]
    every = [modules_of(lora, adapters)[0] for lora in loras]
    names = {part: dict.fromkeys(path for parts in every for path in parts.get(part, {})) for parts in every for part in parts}
    account = Account()

    def summed(part: str, path: str, _: dict[str, Tensor]) -> dict[str, Tensor]:
        given = [(parts[part][path], weight) for parts, weight in zip(every, weights, strict=True) if path in parts.get(part, {})]
        cutting = _sum(given, path, keep)
        account.add(f"{part}.{path}", cutting)
        return cutting.tensors

    result = _each({part: {path: {} for path in paths} for part, paths in names.items()}, summed, step)
    return Made(_lora(result, adapters, {"ss_base_model_version": adapters.base_model_version}, {}), account.report())


def extract(
    tuned: Sequence[Model | Clip],
    base: Sequence[Model | Clip],
    keep: Keep,
    least: float = 0.0,
    convolutions: bool = True,
    step: Step = lambda done, total: None,
) -> Made:
    """The difference of two models as a LoRA: of every module that a LoRA (or LoCon) changes.

    tuned, base: a model, and a text encoder where it counts too. least: modules whose largest difference is below are left out.
    Raises InvalidInput for models of different shapes, and for models that do not differ.
    """
    account = Account()
    parts: dict[str, Modules] = {}
    configs: dict[str, Config] = {}
    pairs = list(zip(tuned, base, strict=True))
    networks = [_same_network(changed, original) for changed, original in pairs]
    wanted = [{target.path for target in targets(network, convolutions=convolutions)} for network in networks]
    total, done = sum(map(len, wanted)), 0
    for (changed, original), network, paths in zip(pairs, networks, wanted, strict=True):
        configs[network.part] = changed.weights.arguments
        names = {f"{path}.weight" for path in paths}
        before = dict(patched_tensors(original.weights, original.patches, names))
        for name, weight in patched_tensors(changed.weights, changed.patches, names):
            path = name.removesuffix(".weight")
            step(done, total)
            done += 1
            delta = weight.double() - before.pop(name).double()
            if float(delta.abs().max()) <= least:
                continue
            cutting = cut_matrix(delta, tuple(weight.shape), keep)
            account.add(f"{network.part}.{path}", cutting)
            parts.setdefault(network.part, {})[path] = cutting.tensors
    if not parts:
        raise InvalidInput("The two models do not differ where a LoRA could.", hint="Connect two different models of one family.")
    adapters = ADAPTERS[networks[0].family]
    metadata = {"ss_base_model_version": adapters.base_model_version, "ss_training_comment": "difference of two models"}
    return Made(Lora(kohya.write(parts, adapters, configs), metadata), account.report())


def difference_lora(differences: Sequence[Model | Clip], keep: Keep | None, *, biases: bool, step: Step = lambda done, total: None) -> Made:
    """Networks whose weights are differences of two models, as an adapter of every module.

    keep: which singular values of matrices stay, None for whole differences. biases: also those of biases and norms.
    Raises InvalidInput for differences that are nothing at all.
    """
    account = Account()
    parts: dict[str, Modules] = {}
    for network in differences:
        names, read = patched_reader(network.weights, network.patches)
        modules = parts.setdefault(network.weights.part, {})
        for done, name in enumerate(names):
            step(done, len(names))
            path, _, parameter = name.rpartition(".")
            delta = read(name)
            matrix = parameter == "weight" and delta.ndim > 1
            if not (matrix or biases) or not delta.any():
                continue
            tensors = {"diff" if parameter == "weight" else "bias": delta}
            cutting = cut_matrix(delta, tuple(delta.shape), keep) if matrix and keep else Cutting(tensors, float(delta.norm()), 0.0)
            account.add(f"{network.weights.part}.{name}", cutting)
            modules.setdefault(path, {}).update(cutting.tensors)
    if not any(parts.values()):
        raise InvalidInput("The models do not differ.", hint="Connect a difference of two models.")
    adapters = ADAPTERS[differences[0].weights.family]
    configs = {network.weights.part: network.weights.arguments for network in differences}
    metadata = {"ss_base_model_version": adapters.base_model_version, "ss_training_comment": "difference of two models"}
    kept = {part: modules for part, modules in parts.items() if modules}
    return Made(Lora(kohya.write(kept, adapters, configs), metadata), account.report())


def _same_network(first: Model | Clip, second: Model | Clip) -> Network:
    one, other = Network.of(first.weights), Network.of(second.weights)
    if one.shapes != other.shapes:
        raise InvalidInput("The two models have different shapes.", hint="Both must be of one family and size.")
    return one


def _each(parts: Mapping[str, Modules], change: Change, step: Step) -> dict[str, Modules]:
    """Every module changed: called with its network, path and tensors."""
    total, done = sum(len(modules) for modules in parts.values()), 0
    result: dict[str, Modules] = {}
    for part, modules in parts.items():
        for path, tensors in modules.items():
            step(done, total)
            done += 1
            result.setdefault(part, {})[path] = change(part, path, tensors)
    return result


def _lora(parts: Mapping[str, Modules], adapters: Adapters, metadata: Mapping[str, str], others: Mapping[str, Tensor]) -> Lora:
    kept = {key: text for key, text in metadata.items() if key not in ("ss_network_dim", "ss_network_alpha", "ss_network_module")}
    return Lora({**kohya.write(parts, adapters), **others}, kept)


def _cut_change(tensors: Mapping[str, Tensor], path: str, keep: Keep) -> Cutting:
    delta, shape = change_of(tensors, path)
    return cut_matrix(delta, shape, keep)


def _sum(given: Sequence[tuple[dict[str, Tensor], float]], path: str, keep: Keep | None) -> Cutting:
    """The weighted sum of one module's changes."""
    biases = [tensors["bias"].float() * weight for tensors, weight in given if "bias" in tensors]
    rest = {"bias": torch.stack(biases).sum(0)} if biases else {}
    matrices = [(tensors, weight) for tensors, weight in given if tensors.keys() - {"bias", "alpha"}]
    if not matrices:
        return Cutting(rest, 0.0, 0.0)
    if all(is_low_rank(tensors) and "dora_scale" not in tensors for tensors, _ in matrices):
        joined = _side_by_side(matrices)
        cutting = Cutting(joined, 0.0, 0.0) if keep is None else cut_product(joined, keep)
        return cutting._replace(tensors={**cutting.tensors, **rest})
    changes = [(change_of(tensors, path), weight) for tensors, weight in matrices]
    shape = changes[0][0][1]
    delta = _total(change.reshape(shape) * weight for (change, _), weight in changes)
    cutting = Cutting({"diff": delta}, 0.0, 0.0) if keep is None or delta.ndim < 2 else cut_matrix(delta, shape, keep)
    return cutting._replace(tensors={**cutting.tensors, **rest})


def _total(changes: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(changes)).sum(0)


def _side_by_side(given: Sequence[tuple[dict[str, Tensor], float]]) -> dict[str, Tensor]:
    """LoRAs as one whose rank is the sum of theirs."""
    even = [(folded(tensors), weight) for tensors, weight in given]
    downs = [tensors["down"].float() for tensors, _ in even]
    ups = [(tensors["up"] * weight).reshape(len(tensors["up"]), -1, *[1] * (downs[0].ndim - 2)) for tensors, weight in even]
    rank = sum(rank_of(tensors) for tensors, _ in even)
    down = torch.cat([down.reshape(len(down), *downs[0].shape[1:]) for down in downs])
    return {"up": torch.cat(ups, 1), "down": down, "alpha": torch.tensor(float(rank))}

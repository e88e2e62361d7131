"""States of a training that someone changed: each is refused by name before a step, and what is good is still gone on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.training.opening import open_trainer
from engine.diffusion.training.result import lora_of
from engine.diffusion.training.trainer import Trainer
from engine.errors import InvalidInput
from engine.graph.cache import Cache
from engine.graph.disk_tier import DiskTier
from engine.graph.folders import EMBEDDED_MODELS
from engine.values.store import SafetensorsStore
from engine.values.training import Adapter, Optimizer, StateCodec, TrainingState
from tests.diffusion.training.recipes import recipe
from tests.diffusion.training.sets import random_set


@pytest.fixture(scope="module")
def trainer(tmp_path_factory) -> Iterator[Trainer]:
    model = load_checkpoint(EMBEDDED_MODELS / "checkpoints" / "tiny-shapes.safetensors")
    data = random_set(tmp_path_factory.mktemp("latents"), 2)
    settings = recipe(Adapter(rank=2), optimizer=Optimizer(rate=1e-3, ema=0.9))
    with open_trainer(Memory(choose("cpu", "fp32")), model.model, model.clip, data, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def state(trainer) -> TrainingState:
    trainer.advance()
    return trainer.state()


ADAPTER = "adapter.lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"
AVERAGE = ADAPTER.replace("adapter", "average", 1)


def tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[TrainingState], TrainingState]:
    return lambda state: TrainingState({**state.tensors, name: change(state.tensors[name])}, state.record)


def without(name: str) -> Callable[[TrainingState], TrainingState]:
    return lambda state: TrainingState({key: value for key, value in state.tensors.items() if key != name}, state.record)


def record(change: Callable[[Any], None]) -> Callable[[TrainingState], TrainingState]:
    def changed(state: TrainingState) -> TrainingState:
        copy = deepcopy(dict(state.record))
        change(copy)
        return TrainingState(state.tensors, copy)

    return changed


def optimizer(*path: Any, value: Any) -> Callable[[TrainingState], TrainingState]:
    """Another value at a place of the optimizer's record, which holds dicts as lists of pairs."""

    def change(copy: Any) -> None:
        form = copy["optimizer"]
        for number, key in enumerate(path):
            ((_, items),) = form.items()
            place = items[key] if isinstance(items[0], dict) else next(pair for pair in items if pair[0] == key)
            if number == len(path) - 1:
                place[1] = value
            else:
                form = place if isinstance(items[0], dict) else place[1]

    return record(change)


def nan(value: torch.Tensor) -> torch.Tensor:
    return value.clone().fill_(float("nan"))


MOMENT = "optimizer.1"  # of the first parameter, after its number of steps
HOSTILE = {
    "a weight is NaN": (tensor(ADAPTER, nan), "numbers that are not finite"),
    "a weight is missing": (without(ADAPTER), "lacks 1 of"),
    "a weight is larger": (tensor(ADAPTER, lambda value: value.repeat(2, 1, 1, 1)), "has shape"),
    "a weight is turned": (tensor(ADAPTER, lambda value: value.transpose(0, 1)), "has shape"),
    "a weight is of whole numbers": (tensor(ADAPTER, torch.Tensor.long), "not finite"),
    "an average is infinite": (tensor(AVERAGE, lambda value: value / 0), "its average of .* not finite"),
    "an average is missing": (without(AVERAGE), "its average of .* is missing"),
    "a moment is NaN": (tensor(MOMENT, nan), r"its optimizer\.state\.0\.exp_avg holds numbers that are not finite"),
    "a moment has another shape": (tensor(MOMENT, lambda value: torch.ones(3, 5, 7)), r"exp_avg has shape \[3, 5, 7\]"),
    "a moment is complex": (tensor(MOMENT, lambda value: value.to(torch.complex64)), "exp_avg holds numbers"),
    "a moment is missing": (without(MOMENT), "a part of it cannot be read: KeyError"),
    "a moment of no parameter": (record(lambda copy: copy["optimizer"]["dict"][0][1]["dict"].append([999, 1])), "for a parameter 999"),
    "a moment is a text": (record(lambda copy: copy["optimizer"]["dict"][0][1]["dict"][0].__setitem__(1, "x")), "is 'x'"),
    "another decay": (optimizer("param_groups", 0, "weight_decay", value=1e9), r"weight_decay is 1000000000\.0, here 0\.01"),
    "another beta": (optimizer("param_groups", 0, "betas", value={"tuple": [5.0, 0.999]}), r"betas\.0 is 5\.0"),
    "a rate of text": (optimizer("param_groups", 0, "lr", value="fast"), "lr is 'fast', which is no finite number"),
    "no groups": (optimizer("param_groups", value={"list": []}), r"param_groups is \[\]"),
    "parameters in another order": (optimizer("param_groups", 0, "params", value={"list": [1]}), "params is"),
    "a form of nothing": (record(lambda copy: copy.update(optimizer={})), "a part of it cannot be read"),
    "a form of another kind": (record(lambda copy: copy.update(optimizer={"set": []})), "a part of it cannot be read"),
    "keys that cannot be": (record(lambda copy: copy.update(optimizer={"dict": [[[], 1]]})), "a part of it cannot be read"),
    "a scale where there is none": (record(lambda copy: copy.update(scaler={"dict": [["scale", 1.0]]})), "its scaler has other entries"),
    "another family": (record(lambda copy: copy.update(family="sdxl")), "of the kind 'sdxl'"),
    "another step": (record(lambda copy: copy.update(step=7)), "its curve does not have the steps 1 to 7"),
    "another way to compute": (record(lambda copy: copy.update(economy={"checkpointing": False, "pieces": 10**9})), "no step is computed"),
    "another rank": (record(lambda copy: copy["recipe"]["adapter"].update(rank=4)), r"adapter\.rank = 4"),
    "no such optimizer": (record(lambda copy: copy["recipe"]["optimizer"].update(name="os.system")), r"optimizer\.name = os\.system"),
    "a setting that is none": (record(lambda copy: copy["recipe"]["optimizer"].update(run="rm")), r"its setting optimizer\.run is 'rm'"),
    "a setting of NaN": (record(lambda copy: copy["recipe"]["optimizer"].update(rate=float("nan"))), r"its setting optimizer\.rate is nan"),
    "weights in float8": (record(lambda copy: copy["recipe"].update(fp8_base=True)), "fp8_base = True, this training has False"),
    "more than all in main memory": (record(lambda copy: copy["recipe"].update(swap=7)), "its setting swap is 7"),
    "a switch that is none": (record(lambda copy: copy["recipe"].update(fused_backward=[1])), r"its setting fused_backward is \[1\]"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_changed_state_is_refused_by_name(trainer, state, what):
    change, message = HOSTILE[what]
    with pytest.raises(InvalidInput, match=message):
        trainer.load(change(state))


def test_after_all_that_a_good_state_is_gone_on_from_exactly(trainer, state):
    before = {name: value.clone() for name, value in state.tensors.items()}
    trainer.load(state)
    trainer.advance()
    wanted = trainer.state()
    for change, _ in HOSTILE.values():
        with pytest.raises(InvalidInput):
            trainer.load(change(state))
    trainer.load(state)
    trainer.advance()
    again = trainer.state()
    assert again.record == wanted.record
    assert all(torch.equal(value, again.tensors[name]) for name, value in wanted.tensors.items())
    assert all(torch.equal(value, state.tensors[name]) for name, value in before.items())  # a cache may hold it


def test_a_result_of_an_unknown_family_or_of_settings_that_are_none_is_refused(state):
    with pytest.raises(InvalidInput, match=r"of an unknown family of models, '\.\./x'"):
        lora_of(record(lambda copy: copy.update(family="../x"))(state))
    with pytest.raises(InvalidInput, match="cannot be continued: its setting adapter"):
        lora_of(record(lambda copy: copy["recipe"].update(adapter=5))(state))


def test_the_rate_that_a_state_claims_is_not_taken(trainer, state):
    """It follows from the schedule and the step."""
    trainer.load(optimizer("param_groups", 0, "lr", value=1e6)(state))
    claimed = trainer.advance().rate
    trainer.load(state)
    assert trainer.advance().rate == claimed < 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": "1"}, {"step": 10**30}, {"curve": [[1, float("nan"), 0.1]]}, {"curve": [[1, 2.0]]}, {"curve": 5},
        {"validation": [["1", 0.1]]}, {"recipe": []}, {"family": None}, {"economy": [True]}, {"optimizer": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_another_form_is_damaged_and_never_a_state(state, tmp_path, change):
    with pytest.raises(ValueError):
        StateCodec().decode(state.tensors, {"record": {**state.record, **change}})
    cache = Cache(0, DiskTier(tmp_path / "cache", SafetensorsStore(), limit=2**30))
    cache.save_state(b"digest", TrainingState(state.tensors, {**state.record, **change}))
    assert cache.load_state(b"digest") is None
    cache.close()

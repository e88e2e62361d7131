"""Per class of node: everything that validation asks of each node of that class, worked out once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from engine.graph.catalogue import ANY, AliasInfo, Catalogue, InputInfo, NodeInfo
from engine.graph.limits import Limits
from engine.graph.literals import Caster, caster
from engine.graph.model_folders import FILE_ROOTS


@dataclass(slots=True)
class InputCheck:
    """`shown` is the name under the submitted id. `fills`: the default stands in where the input is absent."""

    name: str
    shown: str
    type: str
    required: bool
    fills: bool
    default: Any
    cast: Caster
    info: InputInfo


@dataclass(slots=True)
class ClassChecks:
    info: NodeInfo
    class_type: str
    inputs: tuple[InputCheck, ...]
    variadic: tuple[tuple[InputCheck, re.Pattern[str]], ...]
    outputs: tuple[str, ...]
    generic: bool  # has type variables

    def socket(self, name: str) -> InputCheck | None:
        """The variadic input that a socket such as images3 belongs to."""
        return next((item for item, pattern in self.variadic if pattern.fullmatch(name)), None)


class Checks:
    """Checks by submitted id, made when first asked for."""

    def __init__(self, catalogue: Catalogue, *, strict: bool, limits: Limits) -> None:
        self._catalogue = catalogue
        self._strict = strict
        self._limits = limits
        self._made: dict[str, ClassChecks | None] = {}

    def get(self, class_type: str) -> ClassChecks | None:
        """None for a class that the catalogue does not have."""
        if class_type not in self._made:
            found = self._catalogue.find(class_type)
            self._made[class_type] = None if found is None else self._make(class_type, *found)
        return self._made[class_type]

    def _make(self, class_type: str, info: NodeInfo, alias: AliasInfo | None) -> ClassChecks:
        inputs = [self._input(item, alias) for item in info.inputs]
        generic = any(item.type.startswith("$") for item in info.inputs)
        return ClassChecks(
            info=info,
            class_type=class_type,
            inputs=tuple(check for check in inputs if not check.info.variadic),
            variadic=tuple((check, re.compile(rf"{re.escape(check.name)}(0|[1-9]\d{{0,8}})")) for check in inputs if check.info.variadic),
            outputs=tuple(output.type if generic or not output.type.startswith("$") else ANY for output in info.outputs),
            generic=generic,
        )

    def _input(self, item: InputInfo, alias: AliasInfo | None) -> InputCheck:
        shown, default, listed = item.name, item.default, True
        if alias is not None:
            shown = next((name for name, canonical in alias.inputs.items() if canonical == item.name), item.name)
            default = alias.defaults.get(shown, default)
            listed = alias.order is None or shown in alias.order
        has_default = item.has_default or default is not None
        # ComfyUI refuses a prompt that leaves out a required input, also one with a default; inputs that it does not know are filled in.
        fills = has_default and (self._strict or not item.required or not listed)
        cast = self._file_caster(item) if item.folder is not None else self._caster(item, item.choices)
        return InputCheck(item.name, shown, item.type, item.required and listed, fills, default, cast, item)

    def _caster(self, item: InputInfo, choices: tuple[Any, ...] | None) -> Caster:
        return caster(item, strict=self._strict, choices=choices, text_chars=self._limits.text_chars)

    def _file_caster(self, item: InputInfo) -> Caster:
        """Files of `input` may also be named with a mark that says where they are: `a.png [output]`."""
        root, colon, kind = (item.folder or "").partition(":")
        plain = self._caster(item, self._choices(item, item.folder or ""))
        if root != "input":
            return plain
        marked = {f" [{other}]": self._caster(item, self._choices(item, f"{other}{colon}{kind}")) for other in FILE_ROOTS}

        def cast(value: Any) -> Any:
            if type(value) is str and value.endswith("]"):
                for mark, check in marked.items():
                    if value.endswith(mark):
                        return check(value.removesuffix(mark)) + mark
            return plain(value)

        return cast

    def _choices(self, item: InputInfo, folder: str) -> tuple[Any, ...] | None:
        files = self._catalogue.files.get(folder)
        return None if files is None else (*(item.choices or ()), *files)

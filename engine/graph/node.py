"""Nodes: typed Python functions under `@node`. Annotations are ports and widgets, defaults are defaults, the docstring is the help."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar

from engine.errors import InvalidNode, NodeFailed
from engine.graph import builder, declare, docstrings
from engine.graph.catalogue import AliasInfo, CachePolicy, InputInfo, Lane, MigrationInfo, NodeInfo
from engine.graph.literals import Rejected, caster
from engine.graph.results import Blocked, Shown
from engine.graph.wire import json_fault

P = ParamSpec("P")
R = TypeVar("R")

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_ID = re.compile(r"[^\s:/\\\x00-\x1f]+")


@dataclass(frozen=True)
class Definition:
    """A declared node: what the catalogue shows of it, and what the executor calls.

    context: name of the parameter that takes the Context. needs: which lazy sockets are wanted, from the values of `needs_inputs`.
    fingerprint: what besides literals and files decides the result, from the literals named in `fingerprint_inputs`
    (and the Context in `fingerprint_context`); returns JSON, or None for "never the same".
    """

    info: NodeInfo
    function: Callable[..., Any]
    where: str
    context: str | None = None
    outputs_class: Any = None
    shows: bool = False
    needs: Callable[..., Any] | None = None
    needs_inputs: tuple[str, ...] = ()
    fingerprint: Callable[..., Any] | None = None
    fingerprint_inputs: tuple[str, ...] = ()
    fingerprint_context: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    def unpack(self, result: Any) -> tuple[dict[str, list[Any]] | None, tuple[Any, ...]]:
        """A call's return value as (what it shows or None, one value per output); raises NodeFailed if it is not what the node declares."""
        ui: dict[str, list[Any]] | None = None
        if self.shows:
            if not isinstance(result, Shown):
                raise self._broken(f"returned {type(result).__name__} where it declares Shown")
            ui, result = {name: list(items) for name, items in result.ui.items()}, result.value
            if fault := json_fault(ui):
                raise self._broken(f"shows something that is no JSON ({fault})")
        outputs = self.info.outputs
        if isinstance(result, Blocked):
            return ui, (result,) * len(outputs)
        if self.outputs_class is None:
            values = (result,) if outputs else ()
            if not outputs and result is not None:
                raise self._broken(f"returned {type(result).__name__} where it declares no output")
        elif not isinstance(result, tuple) or len(result) != len(outputs):
            raise self._broken(f"returned {type(result).__name__} where it declares {self.outputs_class.__name__}")
        else:
            values = tuple(result)
        for output, value in zip(outputs, values, strict=True):
            if output.series and not isinstance(value, list | tuple | Blocked):
                raise self._broken(f"returned {type(value).__name__} where output {output.name} is a series")
        return ui, values

    def _broken(self, reason: str) -> NodeFailed:
        return NodeFailed(f"{self.info.id} {reason}.", hint=f"Correct the node: {self.where}.")


def Alias(
    id: str,
    *,
    display_name: str = "",
    category: str = "",
    module: str = "nodes",
    inputs: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> AliasInfo:
    """Another id for the node: `inputs` maps its input names to the node's, the rest says what differs there (see AliasInfo)."""
    return AliasInfo(
        id=id,
        display_name=display_name,
        category=category,
        module=module,
        inputs=dict(inputs or {}),
        outputs=None if outputs is None else tuple(outputs),
        order=None if order is None else tuple(order),
        defaults=dict(defaults or {}),
    )


def node(
    id: str,
    *,
    category: str,
    display_name: str = "",
    lane: Lane | Literal["device", "cpu", "io"] = Lane.CPU,
    cache: CachePolicy | Literal["default", "always_run", "never_store", "ignore"] = CachePolicy.DEFAULT,
    version: str = "1.0.0",
    aliases: Sequence[AliasInfo] = (),
    fingerprint: Callable[..., Any] | None = None,
    needs: Callable[..., Any] | None = None,
    output_node: bool = False,
    deprecated: bool = False,
    experimental: bool = False,
    grad: bool = False,
    migrations: Sequence[MigrationInfo] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function as a node. It stays callable with real values; inside `with Workflow():` the same call records it.

    Raises InvalidNode for a declaration that cannot work: what, where, and how to mend it.
    """

    def declare_node(function: Callable[P, R]) -> Callable[P, R]:
        code = inspect.unwrap(function).__code__
        where = f"node {id!r} ({function.__module__}.{function.__qualname__}, line {code.co_firstlineno})"
        _check_names(id, category, version, where)
        hints = declare.type_hints(function, where)
        texts = docstrings.parse(function.__doc__)
        inputs = declare.inputs_of(function, hints, texts, where)
        outputs = declare.outputs_of(hints, texts, output_node, where)
        try:
            lane_, cache_ = Lane(lane), CachePolicy(cache)
        except ValueError as error:
            raise InvalidNode(f"{where}: {error}.", hint=f"Lanes: {', '.join(Lane)}. Cache policies: {', '.join(CachePolicy)}.") from error
        info = NodeInfo(
            id=id,
            display_name=display_name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", id),
            category=category,
            help=texts.summary,
            inputs=inputs,
            outputs=outputs.infos,
            aliases=tuple(aliases),
            version=version,
            module=function.__module__,
            lane=lane_,
            cache=cache_,
            output_node=output_node,
            deprecated=deprecated,
            experimental=experimental,
            grad=grad,
            fingerprinted=fingerprint is not None,
            migrations=tuple(migrations),
        )
        _check_aliases(info, where)
        context = declare.context_parameter(function, hints, where)
        definition = Definition(
            info=info,
            function=function,
            where=where,
            context=context,
            outputs_class=outputs.named,
            shows=outputs.shows,
            needs=needs,
            needs_inputs=_taken(needs, inputs, "needs", where)[0] if needs else (),
            fingerprint=fingerprint,
            fingerprint_inputs=_taken(fingerprint, inputs, "fingerprint", where)[0] if fingerprint else (),
            fingerprint_context=_taken(fingerprint, inputs, "fingerprint", where)[1] if fingerprint else None,
            defaults={info.name: info.default for info in inputs if info.has_default},
        )
        _check_lazy(definition)
        return _callable(function, definition)

    return declare_node


def _callable(function: Callable[P, R], definition: Definition) -> Callable[P, R]:
    signature = inspect.signature(function)
    recorded = signature.replace(parameters=[p for p in signature.parameters.values() if p.name != definition.context])

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        workflow = builder.active.get()
        if workflow is None:
            return function(*args, **kwargs)
        return builder.record(workflow, definition, recorded.bind(*args, **kwargs).arguments)

    call.definition = definition  # type: ignore[attr-defined]
    return call


def variadic_sockets(inputs: Mapping[str, Any], name: str) -> list[str]:
    """The sockets of a variadic input that are set, in order: images0, images1, images10."""
    pattern = re.compile(rf"{re.escape(name)}(0|[1-9]\d{{0,8}})")
    numbers = sorted(int(match[1]) for match in map(pattern.fullmatch, inputs) if match)
    return [f"{name}{number}" for number in numbers]


def _check_names(id: str, category: str, version: str, where: str) -> None:
    if not _ID.fullmatch(id):
        raise InvalidNode(f"{where}: an id is one word without spaces, colons or slashes.", hint="Write it like KSampler.")
    if not category.strip():
        raise InvalidNode(f"{where} has no category.", hint='Say where it belongs: category="sampling".')
    if not _VERSION.fullmatch(version):
        raise InvalidNode(f"{where}: version {version!r} is not MAJOR.MINOR.PATCH.", hint='Write version="1.0.0".')


def _check_aliases(info: NodeInfo, where: str) -> None:
    by_name = {item.name: item for item in info.inputs}
    ids = [info.id, *(alias.id for alias in info.aliases)]
    if len(set(ids)) != len(ids):
        raise InvalidNode(f"{where} has one id twice: {', '.join(ids)}.", hint="Give each alias an id of its own.")
    for alias in info.aliases:
        place = f"{where}, alias {alias.id!r}"
        if not alias.id.isprintable() or alias.id != alias.id.strip() or not alias.id:
            raise InvalidNode(f"{place}: the id starts or ends with a space, or cannot be printed.", hint="Trim it.")
        stray = [name for name in alias.inputs.values() if name not in by_name]
        names = [*(alias.order or ()), *alias.defaults]
        stray += [name for name in names if alias.inputs.get(name, name) not in by_name]
        if stray:
            raise InvalidNode(
                f"{place} names inputs that the node does not have: {', '.join(stray)}.", hint=f"It has {', '.join(by_name)}."
            )
        if alias.outputs is not None and len(alias.outputs) != len(info.outputs):
            raise InvalidNode(f"{place} names {len(alias.outputs)} outputs, the node has {len(info.outputs)}.", hint="Name each, in order.")
        if alias.order is not None:
            given = {alias.inputs.get(name, name) for name in alias.order}
            lost = [item.name for item in info.inputs if item.required and not item.has_default and item.name not in given]
            if lost:
                raise InvalidNode(
                    f"{place} leaves out {', '.join(lost)}, which the node requires.", hint="Add it to `order`, or give it a default."
                )
        for name, default in alias.defaults.items():
            _check_alias_default(by_name[alias.inputs.get(name, name)], default, f"{place}: default of {name}")


def _check_alias_default(info: InputInfo, default: Any, place: str) -> None:
    try:
        caster(info, strict=True, choices=info.choices if info.folder is None else None)(default)
    except Rejected as error:
        raise InvalidNode(f"{place}: {error.message}.", hint=error.hint) from error


def _check_lazy(definition: Definition) -> None:
    lazy = [item.name for item in definition.info.inputs if item.lazy]
    if lazy and definition.needs is None:
        raise InvalidNode(
            f"{definition.where}: nothing says when its lazy {', '.join(lazy)} is needed.",
            hint=f'Add needs=, a function of other inputs that names sockets: needs=lambda condition: ("{lazy[0]}",) if condition else ().',
        )
    if definition.needs is not None and not lazy:
        raise InvalidNode(f"{definition.where} has needs= but no lazy input.", hint="Annotate the inputs that may wait: Lazy[T].")


def _taken(function: Callable[..., Any], inputs: tuple[InputInfo, ...], role: str, where: str) -> tuple[tuple[str, ...], str | None]:
    """The inputs that `needs` or `fingerprint` takes by name, and its parameter annotated Context (or called ctx)."""
    names = tuple(inspect.signature(function).parameters)
    hints = declare.type_hints(function, where)
    context = next((name for name in names if name == "ctx" or hints.get(name) is declare.Context), None)
    unknown = [name for name in names if name != context and name not in {item.name for item in inputs}]
    if unknown:
        raise InvalidNode(f"{where}: {role} takes {', '.join(unknown)}, which is no input.", hint="Its parameters are names of inputs.")
    return tuple(name for name in names if name != context), context

"""The nodes of one run: what each class of node needs at run time, worked out once, and the state of each node."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from engine.errors import EaselError
from engine.graph.catalogue import ANY, CachePolicy, InputInfo
from engine.graph.digest import class_hash
from engine.graph.graph import Node
from engine.graph.items import Item, Result
from engine.graph.node import Definition

_QUICK = 0.001  # seconds
_NUMBERED = re.compile(r"(.*?)(0|[1-9]\d*)")


class Kind:
    """A node class as the executor sees it."""

    def __init__(self, definition: Definition, code_version: str, numerics: Mapping[str, Any]) -> None:
        info = definition.info
        self.definition = definition
        self.info = info
        self.code_version = code_version
        self.base = class_hash(node_id=info.id, version=info.version, code_version=code_version, numerics=numerics)
        self.is_async = definition.is_async
        self.inputs: dict[str, InputInfo] = {item.name: item for item in info.inputs}
        self.variadic = tuple(item.name for item in info.inputs if item.variadic)
        self.lazy = frozenset(item.name for item in info.inputs if item.lazy)
        self.series = frozenset(item.name for item in info.inputs if item.series)
        self.files = tuple(item for item in info.inputs if item.folder is not None)
        self.fingerprinted = bool(self.files) or definition.fingerprint is not None
        self.fingerprint_inputs = frozenset({*definition.fingerprint_inputs, *(item.name for item in self.files)})
        self.routes = tuple(output.type.startswith("$") or output.type == ANY for output in info.outputs)
        self.always_runs = info.cache is CachePolicy.ALWAYS_RUN or not code_version
        self.ignored = info.cache is CachePolicy.IGNORE
        self.mean_seconds: float | None = None

    @property
    def slow(self) -> bool:
        """Whether a node of this class is worth a thread of its own; unknown ones are."""
        return self.mean_seconds is None or self.mean_seconds > _QUICK

    def took(self, seconds: float) -> None:
        self.mean_seconds = seconds if self.mean_seconds is None else max(seconds, 0.8 * self.mean_seconds + 0.2 * seconds)

    def declared(self, socket: str) -> InputInfo | None:
        """The input that a socket belongs to; a variadic input `images` has the sockets images0, images1, ..."""
        found = self.inputs.get(socket)
        if found is None and self.variadic and (match := _NUMBERED.fullmatch(socket)) is not None:
            found = self.inputs.get(match[1])
            return found if found is not None and found.variadic else None
        return found

    def base_name(self, socket: str) -> str:
        info = self.declared(socket) if self.variadic else None
        return socket if info is None else info.name


class Status(IntEnum):
    IDLE = 0  # not wanted so far, or its value was dropped again
    WAITING = 1  # for the values of others
    QUEUED = 2
    RUNNING = 3
    EXPANDED = 4  # waiting for the values of the nodes that replace it
    DONE = 5
    FAILED = 6


class Source:
    """One linked input: the step and slot that it reads, and whether it is lazy."""

    __slots__ = ("key", "lazy", "slot", "step")

    def __init__(self, step: Step, slot: int, lazy: bool, key: bytes) -> None:
        self.step = step
        self.slot = slot
        self.lazy = lazy
        self.key = key


class Step:
    """One node of one run.

    order: position in the deterministic order. digest names its computation, outward what its consumers' digests see of it.
    extras: fingerprints and nonces in the digest. fresh: the value is a new one in each run and never kept.
    unsettled: a fingerprint needs linked values, so the digest is made up for this run and each call is looked up under its own.
    distrusted: what the cache holds of it did not hold good in this run.
    partial: it ended early because it was asked to, or comes from one that did: its result is good for this run only.
    memory: the most bytes in use while it was called, where that is measured.
    uses: how many steps may still read the result; held: the steps whose `uses` count this one.
    leader: the step with the same digest that runs in its place; followers: those for which this one does.
    """

    __slots__ = (
        "asked",
        "assembly",
        "constants",
        "consumers",
        "digest",
        "distrusted",
        "error",
        "extras",
        "fingerprints",
        "followers",
        "fresh",
        "held",
        "kind",
        "leader",
        "links",
        "literals",
        "loading",
        "memory",
        "node",
        "order",
        "outward",
        "partial",
        "reason",
        "result",
        "started",
        "status",
        "target",
        "unsettled",
        "uses",
        "waiting",
    )

    def __init__(self, node: Node, kind: Kind, order: int) -> None:
        self.node = node
        self.kind = kind
        self.order = order
        self.digest = b""
        self.outward = b""
        self.extras: tuple[bytes, ...] = ()
        self.fingerprints: dict[str, str] = {}
        self.fresh = kind.always_runs
        self.unsettled = False
        self.links: dict[str, Source] = {}
        self.literals: dict[str, Any] = {}
        self.constants: dict[str, Item] | None = None
        self.status = Status.IDLE
        self.waiting = 0
        self.uses = 0
        self.held: Sequence[Step] = ()
        self.consumers: list[Step] = []
        self.followers: list[Step] = []
        self.leader: Step | None = None
        self.asked: set[str] | None = None
        self.assembly: Assembly | None = None
        self.result: Result | None = None
        self.error: EaselError | None = None
        self.reason = ""
        self.loading = False
        self.memory: int | None = None
        self.distrusted = False
        self.partial = False
        self.started = False
        self.target = False

    def forget(self) -> None:
        """The run is over: let go of what makes circles of references. Values and large graphs must not wait for the garbage collector."""
        self.result = self.assembly = None
        self.consumers = []
        self.followers = []
        self.held = ()

    def wants(self, name: str, source: Source) -> bool:
        """Whether the step waits for this link: a lazy one only after the node asked for it."""
        return not source.lazy or (self.asked is not None and name in self.asked)

    @property
    def kept(self) -> bool:
        """Whether the cache may keep results under the step's digest."""
        return not (self.fresh or self.unsettled or self.partial)


class Assembly:
    """The outputs of a node with calls that sub-graphs replaced: per call and slot, items that are there, or a slot of another step."""

    def __init__(self, calls: list[tuple[tuple[Item, ...] | tuple[Step, int], ...]], ui: dict[str, Any] | None, seconds: float) -> None:
        self.calls = calls
        self.ui = ui
        self.seconds = seconds
        self.sources = [part[0] for call in calls for part in call if part and isinstance(part[0], Step)]

    def result(self) -> Result:
        """Call it when every source is done."""
        slots = zip(*self.calls, strict=True)
        outputs = tuple(tuple(item for part in slot for item in _items(part)) for slot in slots)
        return Result(outputs, ui=self.ui, seconds=self.seconds)


def _items(part: tuple[Item, ...] | tuple[Step, int]) -> tuple[Item, ...]:
    if part and isinstance(part[0], Step):
        step, slot = part
        assert step.result is not None and isinstance(slot, int)  # noqa: S101  (held until the assembly is done)
        return step.result.outputs[slot]
    return part  # type: ignore[return-value]

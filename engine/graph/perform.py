"""The work on one step, on a thread of its lane: gather inputs, ask for lazy ones, call the function, make a result of what it returns."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

from engine.errors import Cancelled, NodeFailed
from engine.graph import calls as calling
from engine.graph.cache import Cache
from engine.graph.calls import Call
from engine.graph.cancel import CancelToken
from engine.graph.catalogue import Lane, NodeInfo
from engine.graph.context import Context
from engine.graph.expansion import Expander, Rewrite
from engine.graph.items import FileStamp, Item, Result
from engine.graph.lanes import Lanes
from engine.graph.limits import check_items
from engine.graph.plan import Planner
from engine.graph.reporting import failure_of
from engine.graph.results import Blocked, Expand
from engine.graph.run import Run
from engine.graph.steps import Assembly, Step
from engine.log_lines import about

Around = Callable[[NodeInfo, dict[str, Any]], AbstractContextManager[Any]]


Measure = Callable[[], Callable[[], int | None]]
"""Begins to measure memory; what it returns gives the most bytes in use since then."""


class Outcome(NamedTuple):
    """What one call gave: items per slot or the sub-graph that gives them, what it shows, where it came from ("" if it was made now)."""

    outputs: tuple[tuple[Item, ...], ...] | Expand
    ui: dict[str, Any] | None = None
    tier: str = ""
    seconds: float = 0.0
    blocked: bool = False


class Work:
    """Performs the steps of one run. `stamps(ui)` gives the stamps of the files that an output node wrote."""

    def __init__(
        self, run: Run, *, lanes: Lanes, cache: Cache, planner: Planner, cancel: CancelToken, around: Around,
        context_of: Callable[[Step, Call], Context], stamps: Callable[[dict[str, Any]], tuple[FileStamp, ...]],
        measure: Measure | None = None, job_id: str = "",
    ) -> None:  # fmt: skip
        self._run = run
        self._job_id = job_id
        self._lanes = lanes
        self._cache = cache
        self._planner = planner
        self._expander = Expander(planner)
        self._cancel = cancel
        self._around = around
        self._context_of = context_of
        self._stamps = stamps
        self._measure = measure
        self._tasks: set[asyncio.Task[None]] = set()  # belongs to the thread of the event loop

    def work(self, step: Step) -> Callable[[], None]:
        """Run outside the lock; what it returns is run under it. Whatever goes wrong is the step's failure."""
        with about(self._job_id, step.node.display_id):
            try:
                if step.loading:
                    return partial(self._run.loaded, step, self._cache.get(step.digest)[0])
                return self._attempt(step)
            except BaseException as error:  # noqa: BLE001  (a node may raise anything, SystemExit too; the run goes on)
                return self._failure(step, error, {})

    def stop(self) -> None:
        self._lanes.call_in_loop(self._cancel_tasks)

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def _attempt(self, step: Step) -> Callable[[], None]:
        slots = calling.gather(step)
        if step.kind.lazy:
            missing = self._missing(step, slots)
            if missing:
                return partial(self._run.asked, step, missing)
        step.partial = step.partial or any(source.step.partial for source in step.links.values())
        calls = calling.calls_of(step, slots, self._planner.settle)
        if step.kind.is_async and any(call.blocked is None for call in calls):
            self._lanes.start_coroutine(self._run_coroutines(step, calls))
            return _nothing
        outcomes: list[Outcome] = []
        items = 0
        for call in calls:
            outcome = self._without_call(step, call)
            if outcome is None:
                try:
                    outcome = self._call(step, call)
                except BaseException as error:  # noqa: BLE001  (as in `work`)
                    return self._failure(step, error, call.values)
            outcomes.append(outcome)
            if not isinstance(outcome.outputs, Expand):
                items += max(map(len, outcome.outputs), default=0)
                check_items(items)
        return self._gathered(step, calls, outcomes)

    def _missing(self, step: Step, slots: dict[str, tuple[Item, ...]]) -> set[str]:
        """The linked lazy inputs that the node needs and that are not there yet."""
        definition = step.kind.definition
        missing: set[str] = set()
        if definition.needs is None:
            return missing
        for index in range(calling.call_count(step.kind, slots)):
            given = calling.arguments(step, calling.values_at(step.kind, slots, index))
            if any(isinstance(given.get(name), Blocked) for name in definition.needs_inputs):
                continue
            wanted = definition.needs(**{name: given.get(name) for name in definition.needs_inputs})
            unknown = [name for name in wanted if step.kind.base_name(name) not in step.kind.lazy]
            if unknown:
                raise NodeFailed(f"{step.kind.info.display_name} asks for {', '.join(unknown)}, which is no lazy input.")
            missing.update(name for name in wanted if name in step.links and name not in slots)
        return missing

    # -- one call

    def _without_call(self, step: Step, call: Call) -> Outcome | None:
        """The outcome of a call that need not be made: a value that it needs is blocked, or the cache has the result."""
        if call.blocked is not None:
            if call.blocked.message:
                with self._lanes.lock:
                    self._run.report.blocked(step, call.blocked.message)
            return Outcome(calling.blocked_outputs(step.kind, call), blocked=True)
        if step.fresh or step.partial or call.digest == step.digest or step.kind.info.output_node:
            return None
        result, tier = self._cache.get(call.digest)
        return None if result is None else Outcome(result.outputs, result.ui, tier)

    def _prepare(self, step: Step, call: Call) -> dict[str, Any]:
        self._cancel.check()
        given = calling.arguments(step, call.values)
        context = step.kind.definition.context
        if context is not None:
            given[context] = self._context_of(step, call)
        if not step.started:
            with self._lanes.lock:
                step.started = True
                step.reason = step.reason or self._run.report.why(step, self._run.steps)
                self._run.report.started(step)
        return given

    def _call(self, step: Step, call: Call) -> Outcome:
        given = self._prepare(step, call)
        peak = self._measure() if self._measure is not None and step.kind.info.lane is Lane.DEVICE else None
        began = time.perf_counter()
        with self._around(step.kind.info, given):
            returned = step.kind.definition.function(**given)
        if peak is not None:
            step.memory = max(step.memory or 0, peak() or 0) or None
        return self._outcome(step, call, returned, time.perf_counter() - began)

    async def _call_async(self, step: Step, call: Call) -> Outcome:
        given = self._prepare(step, call)
        began = time.perf_counter()
        coroutine = step.kind.definition.function(**given)
        try:
            returned = await _stepwise(coroutine, lambda: self._around(step.kind.info, given))
        except (SystemExit, KeyboardInterrupt) as error:  # it would end the event loop of all coroutines
            raise NodeFailed(f"{step.kind.info.display_name} tried to end the process.") from error
        return self._outcome(step, call, returned, time.perf_counter() - began)

    def _outcome(self, step: Step, call: Call, returned: Any, seconds: float) -> Outcome:
        kind = step.kind
        kind.took(seconds)
        if isinstance(returned, Expand):
            return Outcome(returned, seconds=seconds)
        ui, values = kind.definition.unpack(returned)
        outputs = calling.outputs_of(kind, call, values)
        if call.digest != step.digest and not (step.fresh or step.partial or kind.info.output_node):
            self._cache.put(call.digest, Result(outputs, ui=ui, seconds=seconds), kind.info)
        return Outcome(outputs, ui, seconds=seconds)

    # -- all calls of a step

    def _gathered(self, step: Step, calls: list[Call], outcomes: list[Outcome]) -> Callable[[], None]:
        ui = calling.join_shown([outcome.ui for outcome in outcomes])
        seconds = sum(outcome.seconds for outcome in outcomes)
        if any(isinstance(outcome.outputs, Expand) for outcome in outcomes):
            self._drop_states(step, calls)
            return self._expand(step, calls, outcomes, ui, seconds)
        outputs = calling.join([outcome.outputs for outcome in outcomes], len(step.kind.routes))  # type: ignore[misc]
        result = Result(outputs, ui=ui, files=self._stamps(ui) if ui else (), seconds=seconds)
        stored = None
        if step.kept and not any(outcome.blocked for outcome in outcomes):
            pinned = bool(step.node.meta.get("pinned"))
            stored = step.digest if self._cache.put(step.digest, result, step.kind.info, pinned=pinned) else None
        self._drop_states(step, calls, stored)
        if step.started:
            return partial(self._run.done, step, result, step.reason, cached=False)
        tiers = {outcome.tier for outcome in outcomes}
        reason = "blocked" if any(outcome.blocked for outcome in outcomes) else "hit disk" if "disk" in tiers else "hit memory"
        return partial(self._run.done, step, result, reason if outcomes else "empty series", cached=True)

    def _drop_states(self, step: Step, calls: list[Call], stored: bytes | None = None) -> None:
        """What calls that are done saved to go on from. stored: the digest under which their result is on its way to the disk."""
        if step.kind.definition.context is not None and not step.partial:
            for call in calls:
                self._cache.drop_state(call.digest, stored=stored)

    def _expand(
        self, step: Step, calls: list[Call], outcomes: list[Outcome], ui: dict[str, Any] | None, seconds: float
    ) -> Callable[[], None]:
        parts: list[tuple[Any, ...]] = []
        shown: list[Step] = []
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome.outputs, Expand):
                expand = outcome.outputs
                if isinstance(expand, Rewrite):
                    expand = self._expander.rewrite(step, expand)
                slots, output_nodes = self._expander.expand(step, call, expand)
                parts.append(slots)
                shown += output_nodes
            else:
                parts.append(outcome.outputs)
        return partial(self._run.expanded, step, Assembly(parts, ui, seconds), shown)

    def _failure(self, step: Step, error: BaseException, values: dict[str, Any]) -> Callable[[], None]:
        if self._cancel.cancelled and isinstance(error, Cancelled | asyncio.CancelledError):
            return partial(self._run.cancelled, step)
        return partial(self._run.failed, step, failure_of(step, error, {**step.literals, **values}))

    # -- coroutines

    async def _run_coroutines(self, step: Step, calls: list[Call]) -> None:
        """All calls of a step at once; the first that fails ends the others."""
        outcomes: list[Outcome | None] = [self._without_call(step, call) for call in calls]
        failed: list[Call] = []

        async def fill(index: int) -> None:
            try:
                outcomes[index] = await self._call_async(step, calls[index])
            except Exception:
                failed.append(calls[index])
                raise

        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (this is a coroutine)
        self._tasks.add(task)
        try:
            async with asyncio.TaskGroup() as group:
                for index, outcome in enumerate(outcomes):
                    if outcome is None:
                        group.create_task(fill(index))
            if None in outcomes:
                raise asyncio.CancelledError("what it waited for was cancelled")  # a task group passes over it
            conclude = self._gathered(step, calls, [outcome for outcome in outcomes if outcome is not None])
        except BaseException as error:  # noqa: BLE001  (as in `work`)
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            conclude = self._failure(step, error, failed[0].values if failed else {})
        self._tasks.discard(task)
        with self._lanes.lock:
            conclude()


def _nothing() -> None:
    """A coroutine concludes by itself."""


@types.coroutine
def _stepwise(coroutine: Coroutine[Any, Any, Any], around: Callable[[], AbstractContextManager[Any]]) -> Generator[Any, Any, Any]:
    """Drive a coroutine so that each of its steps, but not its waiting, lies inside the context: gradient mode belongs to the thread."""
    send: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        with around():
            try:
                waits_for = send()
            except StopIteration as stop:
                return stop.value
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001  (handed to the coroutine, as `await` does)
            send = partial(coroutine.throw, error)
        else:
            send = partial(coroutine.send, value)

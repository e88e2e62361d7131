"""One run of a graph: which steps are wanted, which wait for what, and what happens when one ends. No node is called here.

Every method runs under the lock of the lanes. Nothing recurses in the size of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from engine.errors import EaselError, NodeFailed
from engine.graph.cache import Cache
from engine.graph.cancel import CancelToken
from engine.graph.catalogue import Lane
from engine.graph.items import Result
from engine.graph.lanes import Lanes
from engine.graph.reporting import Report
from engine.graph.step_task import StepTask
from engine.graph.steps import Assembly, Status, Step


class Performer(Protocol):
    """Does the work of a step on a lane thread; see perform.py."""

    def work(self, step: Step) -> Callable[[], None]: ...

    def stop(self) -> None:
        """Cancel the coroutines that run."""


class Run:
    """`steps` grows when nodes expand. `intact(result)` says whether the files of an output node are as it wrote them."""

    def __init__(
        self, number: int, *, lanes: Lanes, cache: Cache, report: Report, cancel: CancelToken, intact: Callable[[Result], bool],
        steps: dict[str, Step], keep_values: bool, on_over: Callable[[], None],
    ) -> None:  # fmt: skip
        self.performer: Performer
        self.steps = steps
        self.report = report
        self.ui: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, EaselError] = {}
        self.ran = 0
        self.over = False
        self.stopping = False
        self._number = number
        self._lanes = lanes
        self._cache = cache
        self._cancel = cancel
        self._intact = intact
        self._keep_values = keep_values
        self._on_over = on_over
        self._pending = 0  # wanted steps that have not ended
        self._queued = 0
        self._running = 0

    @property
    def complete(self) -> bool:
        """Every wanted step has ended."""
        return not self._pending

    # -- from wanted to queued

    def want(self, targets: Iterable[Step]) -> None:
        """Make steps targets: they end before the run does. Upstream of them nothing runs that the cache makes needless."""
        roots = []
        for step in targets:
            leader = step.leader or step
            step.target = leader.target = True
            if leader is step:
                roots.append(step)
            elif leader.node.id in self.ui:
                self._tell_follower(step, leader)
            else:
                leader.followers.append(step)
                roots.append(leader)
        self._demand(roots)

    def _demand(self, roots: Sequence[Step]) -> None:
        stack = list(reversed(roots))
        while stack:
            step = stack.pop()
            if step.status is not Status.IDLE:
                continue
            self._pending += 1
            step.status = Status.WAITING
            if step.error is not None:
                self._fail(step, step.error)
            elif not self._take_cached(step):
                sources = [source.step for source in step.links.values()]
                if not step.held:
                    self._hold(step, sources)
                if step.kind.lazy:
                    self._reserve(sources)
                    sources = [source.step for name, source in step.links.items() if step.wants(name, source)]
                stack.extend(self._await(step, sources))

    def _hold(self, step: Step, sources: Sequence[Step]) -> None:
        for source in sources:
            source.uses += 1
        step.held = sources

    def _reserve(self, steps: Iterable[Step]) -> None:
        """Steps that may be asked for later: what they would read is not dropped before."""
        stack = list(steps)
        while stack:
            step = stack.pop()
            if step.status is Status.IDLE and step.links and not step.held and not (step.kept and self._cache.where(step.digest)):
                sources = [source.step for source in step.links.values()]
                self._hold(step, sources)
                stack.extend(sources)

    def _await(self, step: Step, sources: Iterable[Step]) -> list[Step]:
        """Let a step wait for others; returns those that nobody has demanded yet."""
        idle = []
        failed = None
        step.waiting = 0
        for source in sources:
            if source.status is Status.DONE:
                continue
            if source.status is Status.FAILED:
                failed = source
                break
            step.waiting += 1
            source.consumers.append(step)
            if source.status is Status.IDLE:
                idle.append(source)
        if failed is not None:
            self._fail_after([(step, failed)])
            return []
        if not step.waiting:
            self._go_on([step])
        return idle

    def _take_cached(self, step: Step) -> bool:
        """Take a result from the cache if it is there: from memory at once, from the disk by a task of the I/O lane."""
        if not step.kept or step.distrusted:
            return False
        if step.kind.info.output_node:
            return self._take_shown(step)
        tier = self._cache.where(step.digest)
        result = self._cache.memory.get(step.digest) if tier == "memory" else None
        if tier == "disk" and not self._needs_values(step):
            result = Result(())
        if result is not None:
            self._complete(step, result, reason=f"hit {tier}", cached=True, told=False)
        elif tier == "disk":
            step.loading = True
            self._queue(step)
        return bool(tier == "disk" or result is not None)

    def _needs_values(self, step: Step) -> bool:
        return bool(step.uses or step.consumers or self._keep_values)

    def _take_shown(self, step: Step) -> bool:
        """An output node's result holds while the files that it wrote are as they were."""
        result, tier = self._cache.shown(step.digest)
        if result is not None and not self._intact(result):
            step.reason = "file missing or altered"
            step.distrusted = True
            self._cache.remove([step.digest])
            return False
        if result is not None and tier == "disk" and self._needs_values(step):
            result, tier = self._cache.get(step.digest)
        if result is None:
            return False
        self._complete(step, result, reason=f"hit {tier}", cached=True, told=result.ui is not None)
        return True

    def _go_on(self, steps: Iterable[Step]) -> None:
        """Everything that these steps waited for is there."""
        for step in steps:
            if step.status is Status.EXPANDED:
                self._assembled(step)
            elif step.status is Status.WAITING:
                self._queue(step)

    def _queue(self, step: Step) -> None:
        step.status = Status.QUEUED
        self._queued += 1
        lane = Lane.IO if step.loading else step.kind.info.lane
        self._lanes.push(lane, (self._number, step.order), StepTask(self, step))

    def begin(self, step: Step) -> bool:
        if self.over or step.status is not Status.QUEUED:
            return False
        if self._cancel.cancelled:
            self.stop()
            return False
        self._queued -= 1
        self._running += 1
        step.status = Status.RUNNING
        return True

    # -- what the work on a step concludes with

    def loaded(self, step: Step, result: Result | None) -> None:
        step.loading = False
        if result is not None:
            self._complete(step, result, reason="hit disk", cached=True, told=False)
        else:
            self._pending -= 1
            step.status = Status.IDLE
            step.reason = "not readable in the disk cache"
            step.distrusted = True
            self._demand([step])
        self._conclude()

    def asked(self, step: Step, names: Iterable[str]) -> None:
        """A node asked for lazy inputs: it goes on when they are there."""
        step.asked = {*(step.asked or ()), *names}
        step.status = Status.WAITING
        self._demand(self._await(step, [source.step for name, source in step.links.items() if step.wants(name, source)]))
        self._conclude()

    def expanded(self, step: Step, assembly: Assembly, outputs: Sequence[Step]) -> None:
        """A node was replaced by a sub-graph; `outputs` are the output nodes in it."""
        own = step.held
        step.status = Status.EXPANDED
        step.assembly = assembly
        self._hold(step, assembly.sources)
        self._demand(self._await(step, assembly.sources))
        self.want(outputs)
        self._release(own)
        self._conclude()

    def done(self, step: Step, result: Result, reason: str, *, cached: bool) -> None:
        self._complete(step, result, reason=reason, cached=cached, told=True)
        self._conclude()

    def failed(self, step: Step, error: EaselError) -> None:
        self._fail(step, error)
        self._conclude()

    def cancelled(self, step: Step) -> None:
        self.report.record(step, "stopped to make way" if self._cancel.giving_way else "cancelled", cached=False)
        self.stopping = True
        self._conclude()

    def _conclude(self) -> None:
        self._running -= 1
        self.settle()

    # -- ends of steps

    def _complete(self, step: Step, result: Result, *, reason: str, cached: bool, told: bool) -> None:
        """A step has its result. `told`: whether an event says so; `NodesCached` has done it for what the cache held at the start."""
        self.ran += not cached
        self._end(step, result)
        if told:
            self.report.finished(step, reason=reason, cached=cached, seconds=result.seconds, ui=result.ui)
        else:
            self.report.record(step, reason, cached=cached, seconds=result.seconds)
        self._end_consumers(step)

    def _assembled(self, step: Step) -> None:
        """The nodes that replaced a step have ended. Steps that wait only for this one end with it, without recursion."""
        work = [step]
        while work:
            step = work.pop()
            if step.status is not Status.EXPANDED or step.assembly is None:
                continue
            result = step.assembly.result()
            step.partial = step.partial or any(source.partial for source in step.assembly.sources)
            step.assembly = None
            if step.kept:
                self._cache.put(step.digest, result, step.kind.info, pinned=bool(step.node.meta.get("pinned")))
            self.ran += 1
            self._end(step, result)
            self.report.finished(step, reason=step.reason, cached=False, seconds=result.seconds, ui=result.ui)
            work.extend(self._end_consumers(step, assemble=False))

    def _end(self, step: Step, result: Result) -> None:
        step.status = Status.DONE
        step.result = result
        self._pending -= 1
        if result.ui is not None:
            self.ui[step.node.id] = result.ui
        for follower in step.followers:
            self._tell_follower(follower, step)
        step.followers = []

    def _end_consumers(self, step: Step, *, assemble: bool = True) -> list[Step]:
        """Let go what the step held; those that waited only for it go on, the expanded ones among them only if `assemble`. Returns them."""
        ready = []
        for consumer in step.consumers:
            consumer.waiting -= 1
            if not consumer.waiting:
                ready.append(consumer)
        step.consumers = []
        held, step.held = step.held, ()
        self._release(held)
        if not step.uses:
            self._drop(step)
        waiting = ready if assemble else [consumer for consumer in ready if consumer.status is not Status.EXPANDED]
        self._go_on(waiting)
        return ready

    def _tell_follower(self, follower: Step, leader: Step) -> None:
        ui = self.ui.get(leader.node.id)
        if ui is not None:
            self.ui[follower.node.id] = ui
        self.report.finished(follower, reason=f"same as {leader.node.id}", cached=True, seconds=0.0, ui=ui)

    def _drop(self, step: Step) -> None:
        """Nothing in this run reads the value any more; if something asks for it later, it is computed or fetched again."""
        if not (step.target and self._keep_values):
            step.result = None
            step.status = Status.IDLE

    def _release(self, sources: Iterable[Step]) -> None:
        """One use less of each. A value that nothing will read is dropped; a step that nothing waits for any more need not run."""
        work = list(sources)
        withdrawn: set[Step] = set()
        left: set[Step] = set()
        while work:
            step = work.pop()
            step.uses -= 1
            if step.uses:
                continue
            if step.status is Status.DONE:
                self._drop(step)
            elif step.status is Status.IDLE:
                work.extend(step.held)
                step.held = ()
            elif step.status in (Status.WAITING, Status.QUEUED) and not step.target:
                self._queued -= step.status is Status.QUEUED
                self._pending -= 1
                step.status = Status.IDLE
                step.loading = False
                withdrawn.add(step)
                left.update(step.held)
                work.extend(step.held)
                step.held = ()
        for step in left:
            step.consumers = [consumer for consumer in step.consumers if consumer not in withdrawn]

    def _fail(self, step: Step, error: EaselError) -> None:
        self.failures[step.node.id] = error
        self.report.failed(step, error)
        self._fail_after([(step, None)])

    def _fail_after(self, failures: list[tuple[Step, Step | None]]) -> None:
        """Fail steps with their cause (None: itself) and all that depend on them; others go on."""
        while failures:
            step, cause = failures.pop()
            if step.status in (Status.FAILED, Status.IDLE, Status.DONE):
                continue
            step.status = Status.FAILED
            step.assembly = None
            self._pending -= 1
            reason = "failed" if cause is None else f"upstream {cause.node.id} failed"
            self.report.record(step, reason, cached=False)
            held, step.held = step.held, ()
            self._release(held)
            failures.extend((consumer, step) for consumer in reversed(step.consumers))
            step.consumers = []

    # -- the end of the run

    def stop(self) -> None:
        """End the run as soon as what runs now has ended; what waits does not start."""
        if self.over:
            return
        self.stopping = True
        self.performer.stop()
        self.settle()

    def settle(self) -> None:
        """See whether the run is over."""
        if self.over or (self._pending and not (self.stopping and not self._running)):
            if not self.over and not self._running and not self._queued and not self.stopping:
                self._fail_stuck()
            return
        self.over = True
        self._on_over()
        for step in self.steps.values():
            step.forget()
        del self.performer, self._on_over

    def _fail_stuck(self) -> None:
        """Steps wait and nothing runs: an expansion closed a circle, which no earlier check can see."""
        stuck = next(step for step in self.steps.values() if step.status in (Status.WAITING, Status.EXPANDED))
        hint = "A node that expands must not return a link to what depends on itself."
        self._fail(stuck, NodeFailed(f"Node {stuck.node.id} waits for its own output.", hint=hint, node_id=stuck.node.id))
        self.settle()

"""The executor: runs graphs in this process, one or several at a time, over one cache and one set of lanes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Cancelled, EaselError, NodeFailed
from engine.graph import garbage
from engine.graph.cache import Cache
from engine.graph.calls import Call
from engine.graph.cancel import CancelToken
from engine.graph.catalogue import Lane, NodeInfo
from engine.graph.checkpoint import Checkpoint
from engine.graph.code_version import CodeVersions
from engine.graph.context import Context, JobInfo
from engine.graph.digest import short_hash
from engine.graph.events import GAVE_WAY, Event, JobFinished, JobStarted
from engine.graph.graph import Graph, Node
from engine.graph.items import FileStamp, Result
from engine.graph.lanes import Lanes
from engine.graph.node import Definition
from engine.graph.perform import Around, Measure, Work
from engine.graph.plan import Planner
from engine.graph.records import Record
from engine.graph.registry import Registry
from engine.graph.reporting import Report
from engine.graph.run import Run
from engine.graph.steps import Kind, Step
from engine.log_lines import about

if TYPE_CHECKING:
    from engine.graph.folders import Folders

_ROOTS = ("input", "output", "temp")


@dataclass(frozen=True)
class Outcome:
    """How a run ended. state: succeeded, failed, cancelled or GAVE_WAY; error: the first failure.

    ui: what output nodes show, by node id. failures: by the id of the node that raised; what depends on it has only a record.
    values: with keep_values, for each target one tuple of values per output.
    """

    state: str
    ui: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    error: EaselError | None = None
    failures: dict[str, EaselError] = field(default_factory=dict)
    values: dict[str, tuple[tuple[Any, ...], ...]] = field(default_factory=dict)


class Executor:
    """Runs graphs.

    numerics: what decides numeric results besides code and inputs (device kind, dtypes, library versions); it enters every digest.
    around: a context manager for each call of a node, given its NodeInfo and arguments (gradient mode, checks of the arguments).
    measure: begins to measure memory, for the records of nodes that compute on the device.
    max_steps: most nodes of one run, those that nodes expand to included.
    code_version: the digest of the code behind a definition; by default that of the sources its module reaches.
    """

    def __init__(
        self,
        registry: Registry,
        cache: Cache | None = None,
        *,
        folders: Folders | None = None,
        device: Any = "cpu",
        memory: Any = None,
        numerics: Mapping[str, Any] | None = None,
        around: Around | None = None,
        code_version: Callable[[Definition], str] | None = None,
        cpu_threads: int = 2,
        io_threads: int = 4,
        max_steps: int = 1_000_000,
        measure: Measure | None = None,
    ) -> None:
        self.registry = registry
        self.cache = cache or Cache()
        self.folders = folders
        self.device = device
        self.memory = memory
        self.numerics = dict(numerics or {})
        self.lanes = Lanes(cpu_threads=cpu_threads, io_threads=io_threads)
        self._around: Around = around or _nothing_around
        store = folders.state / "code_versions.json" if folders is not None else None
        self._code_version = code_version or partial(_code_version, CodeVersions(store=store))
        self._kinds: dict[str, Kind] = {}
        self._numbers = itertools.count(1)
        self.max_steps = max_steps
        self.measure = measure

    async def run(
        self,
        graph: Graph,
        targets: Sequence[str],
        *,
        job: JobInfo | None = None,
        emit: Callable[[Event], None] | None = None,
        cancel: CancelToken | None = None,
        attempt: int = 1,
        workflow: str = "",
        keep_values: bool = False,
    ) -> Outcome:
        """Run what the targets need of a validated graph; never raises for what goes wrong in it.

        emit is called from other threads, one call at a time, in the order of the sequence numbers, and must be quick.
        workflow: under what name to remember this run for the comparison with the next; by default the ids and classes of the targets.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome] = loop.create_future()
        cancel = cancel or CancelToken()
        job = job or JobInfo()
        active = _Active(
            self, graph, tuple(targets), job, emit or _ignore, cancel, attempt, workflow, keep_values,
            partial(_deliver, loop, ended),
        )  # fmt: skip
        active.start()
        try:
            return await ended
        except asyncio.CancelledError:
            cancel.cancel()
            raise

    def kind(self, node_type: str) -> Kind:
        definition = self.registry.definition(node_type)
        kind = self._kinds.get(node_type)
        if kind is None or kind.definition is not definition:
            kind = self._kinds[node_type] = Kind(definition, self._code_version(definition), self.numerics)
        return kind

    def context(self, job: JobInfo, node_id: str, **hooks: Any) -> Context:
        temp = self.folders.temp if self.folders is not None else None
        return Context(folders=self.folders, device=self.device, memory=self.memory, job=job, node_id=node_id, temp=temp, **hooks)

    def stamps(self, ui: Mapping[str, Any]) -> tuple[FileStamp, ...]:
        """The stamps of the files that a node shows; a file that is not there has none and never counts as intact."""
        records = [item for items in ui.values() if isinstance(items, list) for item in items if isinstance(item, Mapping)]
        found = []
        for record in records:
            name, root = record.get("filename"), record.get("type", "output")
            if isinstance(name, str) and root in _ROOTS and self.folders is not None:
                path = f"{record['subfolder']}/{name}" if record.get("subfolder") else name
                found.append(FileStamp(root, path, *_stat(self._path(root, path))))
        return tuple(found)

    def intact(self, result: Result) -> bool:
        return all((stamp.size, stamp.mtime_ns) == _stat(self._path(stamp.root, stamp.name)) != _ABSENT for stamp in result.files)

    def _path(self, root: str, name: str) -> Path | None:
        return getattr(self.folders, root) / name if self.folders is not None else None

    def close(self) -> None:
        """End the threads and write what is to be stored."""
        self.lanes.close()
        self.cache.close()


class _Active:
    """A run in progress: planned on a lane thread, so that the caller's event loop stays free, then driven by the lanes."""

    slow = True

    def __init__(
        self, executor: Executor, graph: Graph, targets: tuple[str, ...], job: JobInfo, emit: Callable[[Event], None], cancel: CancelToken,
        attempt: int, workflow: str, keep_values: bool, ended: Callable[[Outcome], None],
    ) -> None:  # fmt: skip
        self._executor = executor
        self._graph = graph
        self._targets = targets
        self._job = job
        self._emit = emit
        self._cancel = cancel
        self._attempt = attempt
        self._workflow = workflow or _default_workflow(graph, targets)
        self._keep_values = keep_values
        self._ended = ended
        self._lock = executor.lanes.lock
        self._number = next(executor._numbers)
        self._report: Report
        self._run: Run

    def start(self) -> None:
        with self._lock:
            self._executor.lanes.push(Lane.CPU, (self._number, -1), self)

    def begin(self) -> bool:
        return True

    @garbage.not_collected()
    def work(self) -> Callable[[], None]:
        with about(self._job.id):
            return self._plan()

    def _plan(self) -> Callable[[], None]:
        executor = self._executor
        try:
            numerics = short_hash(json.dumps(executor.numerics, sort_keys=True, default=str).encode()).hex()
            self._report = Report(self._job, self._emit, executor.cache.records, self._workflow, numerics)
            planner = Planner(executor.kind, self._fingerprint_context, secrets.token_bytes(8), executor.max_steps)
            self._run = self._new_run(planner)
            wanted = planner.plan(self._graph, self._targets)
            with self._lock:
                self._report.emit(JobStarted, attempt=self._attempt, total=len(wanted))
            for node_id in wanted:
                if self._cancel.cancelled:
                    break
                planner.add(self._graph.nodes[node_id])
            cached = [step for step in planner.steps.values() if self._is_cached(step)]
        except EaselError as error:
            return partial(self._refuse, error)
        except Exception as error:  # noqa: BLE001  (a defect here must end the job, not hang it)
            failure = NodeFailed(f"The run could not be planned: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return partial(self._refuse, failure)
        return partial(self._go, cached)

    def _new_run(self, planner: Planner) -> Run:
        executor = self._executor
        run = Run(
            self._number, lanes=executor.lanes, cache=executor.cache, report=self._report, cancel=self._cancel, intact=executor.intact,
            steps=planner.steps, keep_values=self._keep_values, on_over=self._finish,
        )  # fmt: skip
        run.performer = Work(
            run, lanes=executor.lanes, cache=executor.cache, planner=planner, cancel=self._cancel, around=executor._around,
            context_of=self._context, stamps=executor.stamps, measure=executor.measure, job_id=self._job.id,
        )  # fmt: skip
        return run

    def _is_cached(self, step: Step) -> bool:
        """Whether a step's value is there; an output node counts when its files are as it wrote them."""
        if not step.kept or step.error is not None or not self._executor.cache.where(step.digest):
            return False
        if not step.kind.info.output_node:
            return True
        shown = self._executor.cache.shown(step.digest)[0]
        return shown is not None and self._executor.intact(shown)

    def _go(self, cached: list[Step]) -> None:
        if cached:
            self._report.cached(cached)
        self._cancel.on_cancel(self._stop)
        if not self._run.over:
            self._run.want([self._run.steps[target] for target in self._targets])
            self._run.settle()

    def _stop(self) -> None:
        with self._lock:
            self._run.stop()

    def _refuse(self, error: EaselError) -> None:
        self._report.emit(JobFinished, state="failed", error=error.to_json(), failed=1)
        self._ended(Outcome("failed", error=error, failures={error.node_id: error} if error.node_id else {}))

    def _finish(self) -> None:
        run, report = self._run, self._report
        self._record_rest()
        report.close(run.steps)
        error = next(iter(run.failures.values()), None)
        state = "failed" if error is not None else "succeeded"
        if self._cancel.cancelled and run.stopping:
            if not self._cancel.giving_way:
                state, error = "cancelled", Cancelled("The job was cancelled.")
            elif not run.complete:
                state, error = GAVE_WAY, None
        hits = sum(record.cached for record in report.records.values())
        told = error.to_json() if error is not None else None
        report.emit(JobFinished, state=state, error=told, ran=run.ran, cached=hits, failed=len(run.failures))
        values = self._values() if self._keep_values else {}
        self._cancel.forget(self._stop)
        self._ended(Outcome(state, run.ui, report.records, error, run.failures, values))

    @garbage.not_collected()
    def _record_rest(self) -> None:
        """Every wanted node has a record, also those that nothing needed."""
        report, run = self._report, self._run
        for node_id, step in run.steps.items():
            if node_id in report.records:
                continue
            if step.leader is not None:
                report.record(step, f"same as {step.leader.node.id}", cached=True)
            else:
                tier = self._executor.cache.where(step.digest) if step.kept else ""
                report.record(
                    step, f"hit {tier}" if tier else "not reached" if run.stopping or run.failures else "not needed", cached=bool(tier)
                )

    def _values(self) -> dict[str, tuple[tuple[Any, ...], ...]]:
        values = {}
        for target in self._targets:
            step = self._run.steps.get(target)
            result = (step.leader or step).result if step is not None else None
            if result is not None:
                values[target] = tuple(tuple(item.value for item in items) for items in result.outputs)
        return values

    def _fingerprint_context(self, node: Node) -> Context:
        return self._executor.context(self._job, node.id, cancel=self._cancel)

    def _context(self, step: Step, call: Call) -> Context:
        report, lock, cancel, cache = self._report, self._lock, self._cancel, self._executor.cache

        def finish() -> bool:
            step.partial = step.partial or cancel.finishing
            return cancel.finishing

        def on_progress(value: float, total: float, preview: Any) -> None:
            report.progress(step, lock, value, total, preview)

        def on_emit(name: str, data: dict[str, Any]) -> None:
            with lock:
                report.custom(step, name, data)

        checkpoint = Checkpoint(finish=finish, load=partial(cache.load_state, call.digest), save=partial(cache.save_state, call.digest))
        hooks = {"on_progress": on_progress, "on_emit": on_emit, "cancel": cancel, "checkpoint": checkpoint}
        return self._executor.context(self._job, step.node.id, **hooks)


_ABSENT = (-1, -1)


def _stat(path: Path | None) -> tuple[int, int]:
    if path is None:
        return _ABSENT
    try:
        status = path.stat()
    except OSError:
        return _ABSENT
    return status.st_size, status.st_mtime_ns


def _default_workflow(graph: Graph, targets: Sequence[str]) -> str:
    named = sorted((target, graph.nodes[target].type if target in graph.nodes else "") for target in targets)
    return short_hash(json.dumps(named).encode("utf-8", "surrogatepass")).hex()


def _code_version(versions: CodeVersions, definition: Definition) -> str:
    return versions.of(definition.info.module)


def _nothing_around(info: NodeInfo, arguments: dict[str, Any]) -> AbstractContextManager[None]:
    return nullcontext()


def _ignore(event: Event) -> None:
    """A run that nobody watches."""


def _deliver(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    def deliver() -> None:
        if not future.done():
            future.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits for the outcome
        loop.call_soon_threadsafe(deliver)

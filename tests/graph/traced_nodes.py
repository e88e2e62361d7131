"""Nodes that note each call in CALLS, for tests of what runs, when, and how often."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar

from engine.errors import Cancelled, ModelFormatError, Preempted, Unstorable
from engine.graph import Blocked, Choice, Context, Expand, Graph, Lazy, Link, Node, Series, Shown, Variadic, node, port

T = TypeVar("T")
CALLS: list[tuple[Any, ...]] = []
EVENTS: dict[str, threading.Event] = {}


@node("Number", category="test")
def number(value: int = 0) -> int:
    CALLS.append(("Number", value))
    return value


@node("Scale", category="test")
def scale(value: float, factor: float = 1.0) -> float:
    CALLS.append(("Scale", value, factor))
    return value * factor


@node("Add", category="test")
def add(a: int, b: int = 1) -> int:
    CALLS.append(("Add", a, b))
    return a + b


@node("Pair", category="test")
def pair(a: int, b: int) -> str:
    CALLS.append(("Pair", a, b))
    return f"{a}-{b}"


class Halves(NamedTuple):
    low: int
    high: int


@node("Split", category="test")
def split(value: int) -> Halves:
    CALLS.append(("Split", value))
    return Halves(value // 2, value - value // 2)


@node("Sum", category="test")
def total(values: Series[int]) -> int:
    CALLS.append(("Sum", values))
    return sum(values)


@node("Join", category="test")
def join(words: Variadic[Any]) -> str:
    CALLS.append(("Join", words))
    return " ".join(map(str, words))


@node("Count", category="test")
def count(upto: int) -> Series[int]:
    CALLS.append(("Count", upto))
    return tuple(range(upto))


@node("Odd", category="test")
def odd(value: int) -> int | Blocked:
    CALLS.append(("Odd", value))
    return value if value % 2 else Blocked(f"{value} is even")


@node("Show", category="test", output_node=True)
def show(value: Any) -> Shown:
    CALLS.append(("Show", value))
    return Shown({"text": [str(value)]})


@node("ShowAndPass", category="test", output_node=True)
def show_and_pass(value: T) -> Shown[T]:
    CALLS.append(("ShowAndPass", value))
    return Shown({"text": [str(value)]}, value)


@node("SaveText", category="test", output_node=True)
def save_text(ctx: Context, text: Any, prefix: str = "note") -> Shown:
    CALLS.append(("SaveText", text))
    record = ctx.folders.save("output", prefix, ".txt", lambda path: path.write_text(str(text)))
    return Shown({"files": [record]})


@node("Slow", category="test")
def slow(value: int = 0) -> int:
    CALLS.append(("Slow", value))
    time.sleep(0.06)
    return value


@node("Nap", category="test")
async def nap(value: int = 0, seconds: float = 0.2) -> int:
    CALLS.append(("Nap", value))
    await asyncio.sleep(seconds)
    return value


@node("Work", category="test", lane="device")
def work(value: int = 0, seconds: float = 0.2) -> int:
    CALLS.append(("Work", value))
    time.sleep(seconds)
    CALLS.append(("Worked", value))
    return value


@node("Wait", category="test", lane="io")
def wait(name: str, value: int = 0) -> int:
    CALLS.append(("Wait", name))
    assert EVENTS[name].wait(60)
    return value


@node("Steps", category="test", lane="device")
def steps(ctx: Context, count: int = 1000, seconds: float = 0.01) -> int:
    for step in range(count):
        CALLS.append(("Step", step))
        ctx.progress(step + 1, count)
        time.sleep(seconds)
    return count


@node("Fail", category="test")
def fail(value: Any | None = None, text: str = "no luck") -> int:
    CALLS.append(("Fail", text))
    raise ValueError(text)


@node("Damaged", category="test")
def damaged(value: int = 0) -> int:
    raise ModelFormatError("tiny.safetensors is truncated.", hint="Copy the file again.")


@node("Leave", category="test")
def leave(value: int = 0) -> int:
    raise SystemExit(3)


@node("Choose", category="test", needs=lambda first: ("a",) if first else ("b",))
def choose(first: bool, a: Lazy[T], b: Lazy[T]) -> T:
    CALLS.append(("Choose", first, a, b))
    return a if first else b


@node("Random", category="test", cache="always_run")
def random(value: int = 0) -> float:
    CALLS.append(("Random", value))
    return time.perf_counter()


@node("Private", category="test", cache="never_store")
def private(value: int = 0) -> int:
    CALLS.append(("Private", value))
    time.sleep(0.06)
    return value


@node("Secret", category="test", cache="ignore")
def secret(value: int, key: str = "") -> int:
    CALLS.append(("Secret", key))
    return value * 10


FACTS: dict[str, Any] = {}


def _fact(name: str) -> Any:
    if isinstance(FACTS.get(name), Exception):
        raise FACTS[name]
    return FACTS.get(name)


@node("Fact", category="test", fingerprint=_fact)
def fact(name: str) -> str:
    CALLS.append(("Fact", name))
    return str(FACTS[name])


@node("Chain", category="test")
def chain(value: int, length: int = 3) -> int | Expand:
    """Replaced by a chain of Add."""
    CALLS.append(("Chain", value, length))
    nodes = {"n0": Node("n0", "Number", {"value": value})}
    for place in range(1, length + 1):
        nodes[f"n{place}"] = Node(f"n{place}", "Add", {"a": Link(f"n{place - 1}", 0)})
    return Expand(Graph(nodes), (Link(f"n{length}", 0),))


@node("Factorial", category="test")
def factorial(n: int, product: int = 1) -> int | Expand:
    """Replaced by itself, one smaller, until nothing is left."""
    CALLS.append(("Factorial", n))
    if n <= 1:
        return product
    return Expand(Graph({"rest": Node("rest", "Factorial", {"n": n - 1, "product": product * n % 1_000_003})}), (Link("rest", 0),))


@node("Announce", category="test")
def announce(value: int) -> int | Expand:
    """Replaced by an output node and a value."""
    return Expand(Graph({"show": Node("show", "Show", {"value": value})}), (value,))


@node("BadExpansion", category="test")
def bad_expansion(value: int) -> int | Expand:
    return Expand(Graph({"x": Node("x", "Add", {"a": Link("gone", 0)})}), (Link("x", 0),))


class ArrayCodec:
    def encode(self, value: Array) -> tuple[dict[str, Any], dict[str, Any]]:
        if value.secret:
            raise Unstorable("not for the disk")
        return {"data": value.data}, {"name": value.name}

    def decode(self, tensors: Any, metadata: Any) -> Array:
        return Array(tensors["data"], metadata["name"])


@port("ARRAY", codec=ArrayCodec())
@dataclass(frozen=True, eq=False)
class Array:
    data: Any
    name: str = ""
    secret: bool = False


@node("MakeArray", category="test")
def make_array(size: int = 4, name: str = "a", secret: bool = False) -> Array:
    import numpy

    CALLS.append(("MakeArray", size))
    time.sleep(0.06)
    return Array(numpy.arange(size, dtype="float32"), name, secret)


@node("ArraySum", category="test")
def array_sum(array: Array) -> float:
    CALLS.append(("ArraySum",))
    return float(array.data.sum())


HELD: weakref.WeakSet[Array] = weakref.WeakSet()


@node("Hold", category="test")
def hold(previous: Array | None = None, place: int = 0) -> Array:
    """Notes how many of its earlier values are alive."""
    gc.collect()
    CALLS.append(("Hold", len(HELD)))
    made = Array([place] * 10)
    HELD.add(made)
    return made


@node("Watched", category="test")
def watched(ctx: Context) -> int:
    ctx.emit("hello", {"x": 1})
    for step in range(1, 51):
        ctx.progress(step, 50, lambda step=step: b"\xff\xd8last" if step == 50 else b"\xff\xd8")
    return 1


@node("Occupy", category="test", lane="device")
def occupy(name: str) -> int:
    """As Wait, on the device."""
    assert EVENTS[name].wait(60)
    return 0


@node("Release", category="test")
def release(after: int = 0) -> int:
    EVENTS["never mind"].set()
    return 1


@node("MeetAll", category="test")
async def meet_all(value: int, count: int) -> int:
    """Wait until so many of them have begun."""
    CALLS.append(("MeetAll", value))
    async with asyncio.timeout(60):
        while sum(call[0] == "MeetAll" for call in CALLS) < count:
            await asyncio.sleep(0.001)
    return value


@node("MeetAndFail", category="test")
async def meet_and_fail(value: int) -> int:
    """When all three have begun the first one ends, the second one fails and the last one goes on waiting."""
    await meet_all(value, 3)
    if value == 1:
        raise ValueError(str(value))
    try:
        await asyncio.sleep(60 if value == 2 else 0)
    except asyncio.CancelledError:
        CALLS.append(("cancelled", value))
        raise
    return value


@node("LeaveLater", category="test")
async def leave_later() -> int:
    await asyncio.sleep(0)
    raise SystemExit(3)


@node("GiveUp", category="test")
def give_up() -> int:
    raise Cancelled("enough")


@node("AtLeast", category="test")
def at_least(value: int, limit: int) -> bool:
    CALLS.append(("AtLeast", value))
    return value >= limit


@node("Never", category="test")
def never(value: Any) -> bool:
    return False


@node("ExpandToFail", category="test")
def expand_to_fail() -> int | Expand:
    return Expand(Graph({"x": Node("x", "Fail", {})}), (Link("x", 0),))


@node("Circle", category="test")
def circle(ctx: Context, value: int) -> int | Expand:
    """Expands to a node that reads this very node's output."""
    return Expand(Graph({"x": Node("x", "Add", {"a": Link(ctx.node_id, 0)})}), (Link("x", 0),))


@node("Plain", category="test")
def plain() -> Any:
    CALLS.append(("Plain",))
    time.sleep(0.06)
    return [1, True, 1.5, (1, [2, (3,)]), {"a": None, "b": ["l", "t"]}, b"\x00\xff", "\ud800 text", float("inf")]


@node("ReadInput", category="test")
def read_input(ctx: Context, name: Annotated[str, Choice("input:image")]) -> str:
    CALLS.append(("ReadInput", name))
    return ctx.folders.resolve("input:image", name).read_text()


MEETING = threading.Barrier(2)


@node("Meet", category="test")
def meet(value: int) -> int:
    MEETING.wait(60)
    return value


@node("Pick", category="test", needs=lambda first: ("a",) if first else ("b",))
def pick(first: bool, a: Lazy[int], b: Lazy[int]) -> int:
    """Computes with what it chose, so its output is a value of its own."""
    CALLS.append(("Pick", first, a, b))
    return (a if first else b) * 1_000


@node("Collapse", category="test")
async def collapse(value: int = 0) -> int:
    """Something that it waits for is cancelled, and not by the job."""
    await asyncio.sleep(0)
    raise asyncio.CancelledError


@node("ShowNumber", category="test", output_node=True)
def show_number(ctx: Context, kind: str) -> Shown:
    wrong = {"tensor": object(), "nan": float("nan")}[kind]
    return Shown({"numbers": [wrong]})


@node("EmitWrong", category="test", output_node=True)
def emit_wrong(ctx: Context, kind: str) -> Shown:
    wrong = {"object": object(), "nan": float("nan")}[kind]
    ctx.emit("mine", {"value": wrong})
    return Shown({})


@node("Odometer", category="test", output_node=True)
def odometer(ctx: Context) -> Shown:
    ctx.progress(float("nan"), float("inf"))
    raise ModelFormatError("broken", details={"found": object()})


@node("Study", category="test", grad=True)
def study(ctx: Context, start: int, steps: int = 10) -> int:
    """Take steps that each build on the one before, as a training does, and make way when asked."""
    step, value = ctx.checkpoint.load() or (0, start)
    while step < steps and not ctx.checkpoint.finish:
        try:
            ctx.progress(step, steps)
        except Preempted:
            ctx.checkpoint.save((step, value))
            raise
        CALLS.append(("Study", step))
        value = (value * 31 + step) % 1_000_003
        step += 1
        time.sleep(0.02)
    return value


@node("StudyTwice", category="test")
def study_twice(start: int, steps: int = 10) -> int | Expand:
    """Two of them, one after the other."""
    first = Node("first", "Study", {"start": start, "steps": steps})
    second = Node("second", "Study", {"start": Link("first", 0), "steps": steps})
    return Expand(Graph({"first": first, "second": second}), (Link("second", 0),))


@node("LinksNowhere", category="test")
def links_nowhere() -> int | Expand:
    """Expand to a node that reads one that does not exist."""
    return Expand(Graph({"b": Node("b", "Add", {"a": Link("gone", 0)})}), (Link("b", 0),))


@node("Exhausts", category="test")
def exhausts(how: str) -> int:
    """Run out of memory as libraries do."""
    errors = {
        "python": MemoryError(),
        "numpy": MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"),
        "cuda": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
        "none": RuntimeError("the memory of this poem"),
    }
    raise errors[how]

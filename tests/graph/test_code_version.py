"""Code versions are the same from every thread that asks."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.graph.code_version import CodeVersions


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can, also while the garbage is collected."""

    def take_turns(*_: object) -> None:
        sum(range(3))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(take_turns)
    yield
    gc.callbacks.remove(take_turns)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_many_threads_may_ask_at_once() -> None:
    """Python 3.11's parser raises SystemError when two threads parse at the same time."""
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: CodeVersions().of("nodes.sampling"), range(4)))
    assert versions == {CodeVersions().of("nodes.sampling")}

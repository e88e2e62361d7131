"""The states of a job, one vocabulary for the database, the API, the editor and the metrics."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"  # its process ended under it; it is queued again or parked at once
    PARKED = "parked"  # crashed too often: waits for a person
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL

    @property
    def over(self) -> bool:
        """Nothing more happens unless a person asks for it; history lists it."""
        return self in OVER


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
OVER = TERMINAL | {State.PARKED}
WAITING = frozenset({State.QUEUED, State.INTERRUPTED})

SOURCES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.INTERRUPTED, State.PAUSED, State.PARKED}),
    State.RUNNING: frozenset({State.QUEUED}),
    State.PAUSED: frozenset({State.QUEUED, State.RUNNING}),
    State.INTERRUPTED: frozenset({State.RUNNING}),
    State.PARKED: frozenset({State.INTERRUPTED}),
    State.SUCCEEDED: frozenset({State.RUNNING}),
    State.FAILED: frozenset({State.RUNNING}),
    State.CANCELLED: frozenset({State.QUEUED, State.RUNNING, State.PAUSED, State.INTERRUPTED, State.PARKED}),
}
"""For each state, the states from which a job may come into it. Nothing leaves a terminal state."""

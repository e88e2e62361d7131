"""What `easel run` shows while a workflow runs: a bar over the nodes, and one over the steps of the node at work."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def training_line(told: Mapping[str, Any]) -> str:
    """What a training tells of a step, in one line."""
    minutes, seconds = divmod(round(told["seconds_left"]), 60)
    parts = [f"  loss {told['loss']:.4f}", f"rate {told['rate']:.1e}", f"{told['images_per_second']:.1f} pictures/s"]
    parts += [f"{minutes}:{seconds:02} left", f"{told['memory'] / 2**30:.1f} GiB"]
    return ", ".join(parts)


class RunDisplay:
    """A context manager that is fed the events of a job in their JSON form. On a terminal it draws; else it prints only failures."""

    def __init__(self, labels: Mapping[str, str], console: Console | None = None) -> None:
        self.labels = labels
        self.console = console or Console(stderr=True)
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.whole = self.progress.add_task("nodes", total=None)
        self.steps: dict[str, Any] = {}

    def __enter__(self) -> RunDisplay:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def show(self, event: Mapping[str, Any]) -> None:
        """Take one event; called from any thread."""
        node = str(event.get("node_id", ""))
        match event["type"]:
            case "job_started":
                self.progress.update(self.whole, total=event["total"], completed=0)
            case "nodes_cached":
                self.progress.update(self.whole, completed=len(event["nodes"]))
            case "node_started":
                self.progress.update(self.whole, description=self.label(event))
            case "node_progress":
                if node not in self.steps:
                    self.steps[node] = self.progress.add_task("  steps", total=event["total"])
                self.progress.update(self.steps[node], completed=event["value"], total=event["total"])
            case "custom" if event["name"] == "training" and node in self.steps:
                self.progress.update(self.steps[node], description=training_line(event["data"]))
            case "node_finished" if not event["cached"]:
                self.progress.advance(self.whole)
                self._remove_steps(node)
            case "job_interrupted":
                for running in list(self.steps):
                    self._remove_steps(running)
            case "node_failed":
                self._remove_steps(node)
                error = event.get("error") or {}
                self.console.print(f"{self.label(event)}: ", style="bold red", end="", markup=False, highlight=False)
                self.console.print(error.get("message", event.get("exception_type", "")), markup=False, highlight=False)
                if error.get("hint"):
                    self.console.print(f"  {error['hint']}", markup=False, highlight=False)

    def label(self, event: Mapping[str, Any]) -> str:
        shown = str(event.get("display_id") or event.get("node_id"))
        return self.labels.get(shown, shown)

    def _remove_steps(self, node: str) -> None:
        task = self.steps.pop(node, None)
        if task is not None:
            self.progress.remove_task(task)

"""Easel's own API."""

from engine.server.v1 import (
    datasets,
    drafts,
    events,
    files,
    imports,
    jobs,
    model_files,
    nodes,
    queue,
    system,
    thumbnails,
    tokens,
    upgrades,
    workflows,
)

SUBJECTS = (
    jobs, queue, events, workflows, drafts, imports, upgrades, files, thumbnails, model_files, datasets, nodes, tokens, system
)  # fmt: skip
TABLES = tuple(module.table for module in SUBJECTS)
"""Routes, in the order in which the docs show them."""

"""`python -m tests.reference DIR`: replay a folder of recorded figures against this engine.

Prints a table (part, case, error, state) and `N ok, N wrong, N missing`; exits with 1 if any case is wrong. Always in float32.
One module of this package replays one part: `replay(directory, selection) -> Iterable[Result]`. A part whose module does not
exist reports its recorded cases as missing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.reference.result import Result, Selection, missing

PARTS = {
    "sigmas": "sigmas.json",
    "tokens": "tokens.json",
    "latents": "cases.json",
    "guiders": "guiders.json",
    "nodes": "nodes.json",
    "sd15": "sd15.json",
}


def replay(part: str, directory: Path, selection: Selection) -> Iterable[Result]:
    """The results of one part, in the order of the folder's records."""
    module = f"tests.reference.{part}"
    if importlib.util.find_spec(module) is not None:
        yield from importlib.import_module(module).replay(directory, selection)
        return
    path = directory / PARTS[part]
    records = json.loads(path.read_text()) if path.exists() else []
    if selection.kind is None and selection.sampler is None:
        for record in records:
            name = record.get("name") or record.get("node") or record.get("text", "")
            yield missing(part, str(name), "this engine has no replay for this part")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="folder with sigmas.json, cases.json, latents.safetensors, ...")
    parser.add_argument("--kind", help="only cases of this kind of model")
    parser.add_argument("--sampler", help="only cases of this sampler")
    parser.add_argument("--only", choices=list(PARTS), help="only this part")
    parser.add_argument("--dump", type=Path, metavar="OUT.safetensors", help="write this engine's results there")
    parser.add_argument("--precision", choices=["reference"], default="reference", help="replays always compute in float32")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is not a folder")
    selection = Selection(options.kind, options.sampler)
    counts: Counter[str] = Counter()
    tensors = {}
    for part in [options.only] if options.only else PARTS:
        for result in replay(part, options.directory, selection):
            counts[result.state] += 1
            error = "" if result.error is None else f"{result.error:.2e}"
            print(f"{result.part:8} {result.name:80.80} {error:>9} {result.state} {result.note}".rstrip(), flush=True)
            if options.dump:
                tensors.update({key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in result.tensors.items()})
    if options.dump:
        save_file(tensors, options.dump)
    print(f"{counts['ok']} ok, {counts['wrong']} wrong, {counts['missing']} missing")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Digests: the name of a computation, made from everything that decides its outcome and nothing else.

A node's digest covers its canonical id, version, code version, the numerics in force, its literals, its fingerprints, and for each link the
digest of the source and the slot. Node ids, titles, positions and the order of inputs do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .items import DIGEST_BYTES, Item


class Opaque(TypeError):
    """A value that is not a literal: it has no digest of its own."""


def literal_bytes(value: Any) -> bytes:
    """An unambiguous byte form of a literal: None, bool, int, float, str, bytes, and lists, tuples and dicts of them. Others raise Opaque.

    1, 1.0 and True differ; a list and a tuple of the same things do not; the order of a dict's keys does not count.
    """
    kind = type(value)
    if kind is str:
        text = value.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(text), text)
    if kind is int:
        return b"i%d;" % value
    if kind is float:
        return b"f%b;" % repr(value).encode()
    if kind is bool:
        return b"T" if value else b"F"
    if value is None:
        return b"N"
    return _nested(value)


def _nested(value: Any) -> bytes:
    parts: list[bytes] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(literal_bytes(str(item)))
        elif isinstance(item, bytes):
            parts.append(b"b%d:%b" % (len(item), item))
        elif isinstance(item, list | tuple):
            parts.append(b"l%d[" % len(item))
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise Opaque(f"a dict with keys that are not texts has no digest: {type(item).__name__}")
            parts.append(b"d%d{" % len(item))
            for key in sorted(item, reverse=True):
                waiting.extend((item[key], key))
        elif item is None or type(item) in (bool, int, float):
            parts.append(literal_bytes(item))
        else:
            raise Opaque(f"a {type(item).__name__} has no digest of its own")
    return b"".join(parts)


def class_hash(*, node_id: str, version: str, code_version: str, numerics: Mapping[str, Any]) -> Any:
    """A running hash of all that is the same for every node of a class; copy it, add the inputs, take the digest."""
    text = json.dumps([node_id, version, code_version, dict(numerics)], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES)


def node_digest(base: Any, parts: Iterable[bytes]) -> bytes:
    """The digest of one node or call. parts: what `literal_part`, `link_part` and `extra_part` gave, in the order of the input names."""
    digest = base.copy()
    digest.update(b"".join(parts))
    return digest.digest()


def literal_part(name: str, value: Any) -> bytes:
    return b"\x00%b\x01%b" % (name.encode(), literal_bytes(value))


def link_part(name: str, key: bytes) -> bytes:
    return b"\x00%b\x02%d:%b" % (name.encode(), len(key), key)


def extra_part(name: str, value: bytes) -> bytes:
    """Anything that is not an input: a fingerprint, a nonce."""
    return b"\x03%b\x01%d:%b" % (name.encode(), len(value), value)


def tuple_key(items: Sequence[Item]) -> bytes:
    """The key of a whole slot: that of its single value, or one made from all of them."""
    if len(items) == 1:
        return items[0].key
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for item in items:
        digest.update(b"%d:%b" % (len(item.key), item.key))
    return b"t" + digest.digest()


def short_hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


# -- why a digest is another one than last time ------------------------------------------------------------------------------------------


def recipe(
    *,
    digest: bytes,
    node_type: str,
    version: str,
    code: str,
    numerics: str,
    literals: Mapping[str, Any],
    links: Mapping[str, tuple[str, int]],
    fingerprints: Mapping[str, str],
) -> list[Any]:
    """What went into a digest, as compact JSON data, to be kept for the comparison with the next run."""
    short = {name: value if type(value) in (int, float, bool, type(None)) else _short_text(value) for name, value in literals.items()}
    return [digest.hex(), node_type, version, code, numerics, short, {name: [*link] for name, link in links.items()}, dict(fingerprints)]


def _short_text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return (
        text
        if len(text) <= 60
        else f"{text[:40]}... ({len(text)} characters, {short_hash(text.encode('utf-8', 'surrogatepass')).hex()[:8]})"
    )


def explain(old: Sequence[Any], new: Sequence[Any], changed: Callable[[str], bool]) -> str:
    """Why the digests of two recipes of one node differ; empty when nothing that the recipes hold differs.

    changed(node id) says whether the digest of an upstream node is another one than then.
    """
    _, type_a, version_a, code_a, numerics_a, literals_a, links_a, prints_a = old
    _, type_b, version_b, code_b, numerics_b, literals_b, links_b, prints_b = new
    if type_a != type_b:
        return f"node class changed {type_a} -> {type_b}"
    reasons = []
    if version_a != version_b:
        reasons.append(f"version changed {version_a} -> {version_b}")
    if code_a != code_b:
        reasons.append("code changed")
    if numerics_a != numerics_b:
        reasons.append("numerics changed")
    for name in sorted({*literals_a, *literals_b, *links_a, *links_b}):
        link_a, link_b = links_a.get(name), links_b.get(name)
        if link_a is not None and link_b is not None:
            if link_a != link_b and (link_a[1] != link_b[1] or changed(link_b[0])):
                reasons.append(f"input {name} now comes from {link_b[0]}")
            elif changed(link_b[0]):
                reasons.append(f"upstream {link_b[0]} changed")
        elif link_b is not None:
            reasons.append(f"input {name} is now linked to {link_b[0]}")
        elif link_a is not None:
            reasons.append(f"input {name} is no longer linked")
        elif name not in literals_b or name not in literals_a:
            reasons.append(f"input {name} {'added' if name in literals_b else 'removed'}")
        elif literals_a[name] != literals_b[name] or type(literals_a[name]) is not type(literals_b[name]):
            reasons.append(f"input {name} changed {literals_a[name]} -> {literals_b[name]}")
    reasons += [f"file changed ({name})" for name in sorted({*prints_a, *prints_b}) if prints_a.get(name) != prints_b.get(name)]
    return ", ".join(dict.fromkeys(reasons))

"""Devices that are timed anew: what was taken of them stays stored, and they go on under another fingerprint.

Latencies of a device are in terms of what its reference network took when it was first timed. Where that was on a busy
or throttled device, nothing that is stored can be trusted to be right beside what is taken later: its timings, the
models that learned from them, and budgets of searches. With another fingerprint none of them is mixed with new ones.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from natdeploy.ground.files import cache_root, content_key, write_json


def fingerprint_in_use(fingerprint: str) -> str:
    """What identifies a device's timings now: the fingerprint itself unless that was retired."""
    while is_retired(fingerprint):
        fingerprint = content_key({"retired": fingerprint})[:16]
    return fingerprint


def is_retired(fingerprint: str) -> bool:
    """Whether timings and models with this fingerprint are not used any more."""
    return _mark(fingerprint).is_file()


def retire(fingerprint: str) -> str:
    """Mark a fingerprint as retired. Returns the one that comes after it. Raises BadInput for a full disk."""
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(_mark(fingerprint), {"schema_version": 1, "fingerprint": fingerprint, "retired_at": at})
    return fingerprint_in_use(fingerprint)


def _mark(fingerprint: str) -> Path:
    return cache_root() / "retired" / f"{fingerprint}.json"

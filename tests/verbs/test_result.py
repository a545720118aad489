"""Results are one step from JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import natdeploy
from natdeploy.spaces import get_space
from natdeploy.verbs.result import Result, plain


@dataclass(frozen=True)
class Example(Result):
    path: Path
    values: tuple[Any, ...]


def test_everything_becomes_plain() -> None:
    arch = get_space("mbv3-micro").smallest()
    value = Example(
        Path("a/b"), (np.float32(0.5), np.int64(3), float("nan"), float("inf"), arch, {"k": (1,)}, True, None)
    )
    found = value.to_json()
    assert found == {"path": "a/b", "values": [0.5, 3, None, None, arch.to_json(), {"k": [1]}, True, None]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_any_nesting_is_json(value: Any) -> None:
    found = plain(value)
    assert plain(found) == found
    json.dumps(found, allow_nan=False)


def test_the_verbs_are_reached_from_the_package() -> None:
    assert callable(natdeploy.verbs.search)
    with pytest.raises(AttributeError, match="nope"):
        natdeploy.nope  # noqa: B018


def test_verbs_stay_functions_when_rooms_of_the_same_name_are_imported() -> None:
    import natdeploy.devices
    import natdeploy.report
    import natdeploy.search
    import natdeploy.verbs.search

    assert callable(natdeploy.verbs.search)
    assert callable(natdeploy.verbs.devices)
    assert callable(natdeploy.verbs.report)

"""A value of `run.json` that is absent, null or zero: a result or a `SaereportError`."""

from __future__ import annotations

from pathlib import Path

import pytest

from saereport.run import RunInfo, open_run
from saereport.util.errors import SaereportError
from tests.run.bench import compared, made_bench, rendered, try_it
from tests.run.fuzzing import without_a_value

NEVER = 10**9


@pytest.mark.slow
def test_no_value_that_is_missing_does_harm(tmp_path: Path) -> None:
    """What reads as the same run as another change, or as the good run, is taken no further."""
    tried = made_bench(tmp_path, graph=False)
    known: list[RunInfo] = [tried.unchanged.info]
    for change in without_a_value(tried.good):
        refused = tried.seen["refused"]
        try_it(tried, change, every=NEVER)
        if tried.seen["refused"] > refused:
            continue
        tried.lay(change)
        info = open_run(tried.run).info
        if info in known:
            continue
        known.append(info)
        for step in (rendered, compared):
            try:
                step(open_run(tried.run), tried)
            except SaereportError:
                tried.seen["refused later"] += 1
        tried.files.clear()
    print(f"\n{dict(sorted(tried.seen.items()))}")
    assert tried.seen["read"] > 50
    assert tried.seen["refused"] > 50
    assert len(known) > 50

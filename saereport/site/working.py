"""A process that makes pages of latents for another, which `spreading` starts.

It reads a line that says what it is to know, then a line for each batch, and answers each with one
line of JSON: what the batch gave, or null where it failed. It ends with its input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from saereport import plugins
from saereport.run import open_run
from saereport.site import report_of
from saereport.site.context import ReportModel
from saereport.site.folder import FolderSink
from saereport.site.spreading import made_here, registered


def work(setup: dict[str, Any]) -> None:
    """Make what is asked for, until nothing is."""
    # An interruption reaches the whole group; who asks decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # One core each; and what a table took goes back to the system when its latents are done.
    pa.set_cpu_count(1)
    pa.set_memory_pool(pa.system_memory_pool())
    plugins.switch(off=not setup["plugins"])
    plugins.load_plugins()
    if registered() != setup["registered"]:
        return
    run = open_run(setup["run"])
    run.trust(setup["checked"])
    report = report_of(run, embed_neuronpedia=setup["embed"], shard_size=setup["size"])
    sink = FolderSink(report, Path(setup["folder"]), bare=False)
    for line in sys.stdin:
        make, arguments = json.loads(line)
        answers.write(_answer(make, arguments, report, sink) + "\n")
        answers.flush()


def _answer(make: str, arguments: list[Any], report: ReportModel, sink: FolderSink) -> str:
    try:
        return json.dumps(made_here(make, arguments, report, sink))
    except Exception:
        # It is tried again where the error can be told.
        return "null"

"""`saereport diff` and `saereport check`."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
"""What this module adds to the command line."""

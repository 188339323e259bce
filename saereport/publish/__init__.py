"""Publishing: check a site before it goes out, and put many reports under one roof."""

from __future__ import annotations

from saereport.publish.checking import check
from saereport.publish.findings import Finding
from saereport.publish.landing import index

__all__ = ["Finding", "check", "index"]

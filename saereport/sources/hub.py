"""The Hugging Face hub: whether it can be reached, and what its errors mean.

The libraries ask the hub about every file before they use their cache, and without a network try
each of these requests six times, for half a minute. So the hub is tried once here, and when it
cannot be reached the libraries are told so: what is in the cache then loads at once, and what is
not fails at once.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from saereport.util.errors import causes_of

_SECONDS = 5.0


@lru_cache(maxsize=1)
def is_reachable() -> bool:
    """Whether the hub answers at all; tried once in a process."""
    from huggingface_hub import constants

    endpoint = urlsplit(constants.ENDPOINT)
    if endpoint.scheme in getproxies():
        return True  # a proxy does what we cannot try here
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    try:
        with socket.create_connection((endpoint.hostname or "", port), timeout=_SECONDS):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def hub_access() -> Iterator[None]:
    """Inside this, the libraries use their caches alone if the hub cannot be reached."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or is_reachable():
        yield
        return
    # `datasets` keeps a copy of the setting, where it is loaded already.
    datasets = sys.modules.get("datasets")
    places: list[Any] = [constants, *([datasets.config] if datasets else [])]
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def is_offline(error: BaseException) -> bool:
    """Whether `error` means that the hub could not be reached and the cache did not help."""
    offline = {
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
        "ConnectionError",
        "ConnectError",
        "ConnectTimeout",
        "ReadTimeout",
        "MaxRetryError",
        "NameResolutionError",
        "ProxyError",
        "gaierror",
    }
    for link in causes_of(error):
        text = str(link)
        if type(link).__name__ in offline or "couldn't connect to" in text:
            return True
        if "offline mode" in text.lower():
            return True
    return False

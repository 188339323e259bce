"""A stand-in for the Hugging Face hub on the loopback, which serves files that tests give it."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

COMMIT = "fedcba9876543210" * 2 + "fedcba98"

Files = Mapping[str, bytes]
"""What a repository holds, by path."""


class _Handler(BaseHTTPRequestHandler):
    """Answers what `hf_hub_download` and SAELens's own requests ask for."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        """Say of a file what it is, without its bytes."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Give a file, or the part of it that is asked for."""
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", urlsplit(self.path).path)
        repo, path = (match[1], unquote(match[2])) if match else ("", "")
        files = self.server.repos.get(repo)
        if files is None or path not in files:
            code = "RepoNotFound" if files is None else "EntryNotFound"
            self._send(404, b"", body, {"X-Error-Code": code, "X-Repo-Commit": COMMIT})
            return
        data, status = files[path], 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        if wanted and body:
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._send(status, data, body, headers)

    def _send(self, status: int, data: bytes, body: bool, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


class Hub(ThreadingHTTPServer):
    """A hub of repositories.

    Attributes:
        repos: What each repository holds.
        asked: The requests, in their order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Files] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(cache: Path) -> Iterator[Hub]:
    """A hub that the libraries ask in place of the real one, in this process.

    Args:
        cache: Where they keep what they fetch.
    """
    from huggingface_hub import constants

    from saereport.sources.hub import is_reachable

    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    is_reachable.cache_clear()
    try:
        with (
            patch.object(constants, "ENDPOINT", hub.address),
            patch.object(
                constants,
                "HUGGINGFACE_CO_URL_TEMPLATE",
                hub.address + "/{repo_id}/resolve/{revision}/{filename}",
            ),
            patch.object(constants, "HF_HUB_CACHE", str(cache)),
            patch.object(constants, "HF_HUB_OFFLINE", False),
            patch.object(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True),
        ):
            yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
        is_reachable.cache_clear()

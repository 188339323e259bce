"""Revisions of a dataset, through the real libraries, from a stand-in hub on the loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

OLD, NEW = "0a" * 20, "0b" * 20
FILES = {
    OLD: {"train.jsonl": b'{"text": "old"}\n', "test.jsonl": b'{"text": "old test"}\n'},
    NEW: {"train.jsonl": b'{"text": "new"}\n'},
}
REVISIONS = {"v1": OLD, "main": NEW, OLD: OLD, NEW: NEW}
"""What `owner/corpus` holds at each commit, and what its revisions are."""

_ADDRESS = re.compile(
    r"(?:/api)?/datasets/owner/corpus(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?"
)

_READ = """
import json, sys
from saereport.sources.text.opening import open_text
from saereport.util.errors import SaereportError
for asked in json.loads(sys.argv[1]):
    try:
        text = open_text(**asked)
        print(json.dumps([list(text.documents()), text.provenance["revision"]]))
    except SaereportError as error:
        print(json.dumps(str(error)))
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Say what a revision is, which files are in it, or what is in one of them."""
        status, found, headers = 404, b"", {"X-Error-Code": "EntryNotFound"}
        match = _ADDRESS.fullmatch(unquote(urlsplit(self.path).path))
        what, revision, path = (match[1] or "revision", match[2] or "main", match[3] or "")
        files = FILES.get(REVISIONS.get(revision, ""))
        if files is None:
            headers = {"X-Error-Code": "RevisionNotFound"}
        elif what == "resolve":
            headers["X-Repo-Commit"] = REVISIONS[revision]
            if path in files:
                status, found, headers["ETag"] = 200, files[path], f'"{path}"'
        else:
            listed: Any = [
                {"type": "file", "path": name, "oid": "0" * 40, "size": len(content)}
                for name, content in files.items()
                if not path
            ]
            if what == "revision":
                names = [{"rfilename": name} for name in files]
                listed = {"id": "owner/corpus", "sha": REVISIONS[revision], "siblings": names}
            status, found = 200, json.dumps(listed).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(found))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found)

    do_GET = do_HEAD = do_POST = answer


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_commit_that_is_recorded_is_the_one_that_is_read(hub: str, tmp_path: Path) -> None:
    asked = [
        {"spec": "owner/corpus"},
        {"spec": "owner/corpus", "revision": "v1"},
        {"spec": f"owner/corpus@{OLD}", "split": "test"},
        {"spec": "https://huggingface.co/datasets/owner/corpus/tree/v1"},
        {"spec": "owner/corpus@v9"},
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", _READ, json.dumps(asked)],
        env={**kept, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        check=True,
    )
    *found, refused = map(json.loads, done.stdout.splitlines())
    assert found == [[["new"], NEW], [["old"], OLD], [["old test"], OLD], [["old"], OLD]]
    assert refused.startswith("The dataset 'owner/corpus' has no revision 'v9'. Name a branch")

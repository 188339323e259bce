"""A bucket of published labels on the loopback, which answers as S3 does."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def batch(rows: list[dict[str, Any]]) -> bytes:
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0)


def label(index: int, text: str, source: str = "m/1-res", **more: Any) -> dict[str, Any]:
    """A line of Neuronpedia's export."""
    model, _, layer = source.partition("/")
    return {"modelId": model, "layer": layer, "index": str(index), "description": text, **more}


class Bucket:
    """What the server has, how it behaves, and what it was asked for.

    Attributes:
        files: Content by key.
        page: Keys in one page of a listing.
        asked: Paths of the requests so far.
        answers: Whole answers by path, in place of the usual: status, headers, body.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.page = 1000
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.address = ""

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        start = int(query.get("continuation-token", ["0"])[0])
        keys = sorted(key for key in self.files if key.startswith(prefix))
        some, more = keys[start : start + self.page], start + self.page < len(keys)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.files[key])}</Size></Contents>"
            for key in some
        )
        token = f"<NextContinuationToken>{start + self.page}</NextContinuationToken>"
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{NAMESPACE}">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token if more else ''}{contents}"
            "</ListBucketResult>"
        ).encode()


@contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            bucket.asked.append(parts.path)
            key = unquote(parts.path).lstrip("/")
            if parts.path in bucket.answers:
                status, headers, body = bucket.answers[parts.path]
            elif not key:
                status, headers, body = 200, {}, bucket.listing(parse_qs(parts.query))
            elif key in bucket.files:
                status, headers, body = 200, {}, bucket.files[key]
            else:
                status, headers, body = 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    bucket.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A STAC API and file server on this machine's loopback, for tests: paging, POST and GET search, ranges, failures.

It serves the items it is given and the files of a folder, over HTTP/1.1 with range requests as COGs are read. It can
be told to fail: the next N requests to paths that begin so are answered with 503 or 429 before it works again.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Loopback:
    """A running server."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2
    post: bool = True
    token: str | None = None
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def fail(self, prefix: str, *statuses: int) -> None:
        """Answer the next requests to a path with these statuses."""
        self.failures += [(prefix, status) for status in statuses]

    def asked(self, prefix: str, method: str | None = None) -> int:
        """How many requests went to a path."""
        return sum(path.startswith(prefix) and method in {None, verb} for verb, path, _ in self.requests)

    def add(self, item: Mapping[str, Any]) -> None:
        """List an item; relative addresses become files of this server."""
        made = json.loads(json.dumps(item))
        for asset in made["assets"].values():
            if "://" not in asset["href"]:
                asset["href"] = f"{self.url}/files/{asset['href']}"
        self.items.append(made)


@contextmanager
def serve(folder: Path, *, page: int = 2, post: bool = True) -> Iterator[Loopback]:
    """Run a server while the block lasts."""
    state = Loopback(folder=folder, page=page, post=post)
    server = _Server(("127.0.0.1", 0), _handler(state))
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state: Loopback) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"state": state})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a reader that has enough: GDAL hangs up when its first bytes are there."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Loopback

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay silent."""

    def do_GET(self) -> None:
        self._answer({})

    def do_HEAD(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(json.loads(self.rfile.read(length) or b"{}"))

    def _answer(self, body: Mapping[str, Any]) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        failure = self._planned_failure(parts.path)
        if failure is not None:
            self._send(failure, b"busy", {"Retry-After": "0"})
        elif parts.path.startswith("/files/"):
            self._file(parts.path.removeprefix("/files/"), query)
        else:
            found = _route(self.state, parts.path, {**query, **body}, self.command)
            status = 404 if found is None else 200
            self._send(status, json.dumps(found or {}).encode(), {"Content-Type": "application/geo+json"})

    def _planned_failure(self, path: str) -> int | None:
        state = self.state
        with state.lock:
            state.requests.append((self.command, path, self.headers.get("Range") or ""))
            for number, (prefix, status) in enumerate(state.failures):
                if path.startswith(prefix):
                    del state.failures[number]
                    return status
        return None

    def _file(self, name: str, query: Mapping[str, str]) -> None:
        path = self.state.folder / name
        if not path.is_file():
            self._send(404, b"", {})
            return
        if self.state.token is not None and query.get("sig") != self.state.token:
            self._send(403, b"no signature", {})
            return
        content = path.read_bytes()
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{zlib.crc32(content)}"', "Content-Type": "image/tiff"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self._send(206, content[first : last + 1], headers)
        else:
            self._send(200, content, headers)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _route(state: Loopback, path: str, asked: Mapping[str, Any], method: str) -> Any:
    """The JSON at an API path."""
    if path.rstrip("/") == "/api":
        return _landing(state)
    if path == "/api/search":
        return _search(state, asked, method)
    if path.startswith("/token/"):
        return {"token": f"sig={state.token}", "msft:expiry": "2099-01-01T00:00:00Z"}
    return None


def _landing(state: Loopback) -> dict[str, Any]:
    methods = ["GET", "POST"] if state.post else ["GET"]
    search = [
        {"rel": "search", "href": f"{state.api}/search", "method": m, "type": "application/geo+json"}
        for m in methods
    ]
    return {
        "type": "Catalog",
        "id": "loopback",
        "stac_version": "1.0.0",
        "description": "a catalogue of tests",
        "conformsTo": [
            "https://api.stacspec.org/v1.0.0/core",
            "https://api.stacspec.org/v1.0.0/item-search",
        ],
        "links": [
            {"rel": "self", "href": state.api, "type": "application/json"},
            {"rel": "root", "href": state.api, "type": "application/json"},
            *search,
        ],
    }


def _search(state: Loopback, asked: Mapping[str, Any], method: str) -> dict[str, Any]:
    """One page of what fits, with a link to the next one."""
    state.searches.append(dict(asked))
    fitting = [item for item in state.items if _fits(item, asked)]
    start = int(asked.get("token") or 0)
    page = fitting[start : start + state.page]
    links: list[dict[str, Any]] = []
    if start + state.page < len(fitting):
        token = str(start + state.page)
        link: dict[str, Any] = {"rel": "next", "method": method, "type": "application/geo+json"}
        if method == "POST":
            link |= {"href": f"{state.api}/search", "body": {**asked, "token": token}}
        else:
            rest = "&".join(f"{name}={value}" for name, value in asked.items() if name != "token")
            link["href"] = f"{state.api}/search?{rest}&token={token}"
        links.append(link)
    return {"type": "FeatureCollection", "features": page, "links": links}


def _fits(item: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    wanted = _listed(asked.get("collections"))
    if wanted and item.get("collection") not in wanted:
        return False
    box = [float(value) for value in _listed(asked.get("bbox"))]
    if box:
        left, bottom, right, top = item["bbox"]
        if left > box[2] or right < box[0] or bottom > box[3] or top < box[1]:
            return False
    span = str(asked.get("datetime") or "").split("/")
    if len(span) == 2:
        time = datetime.fromisoformat(item["properties"]["datetime"])
        return datetime.fromisoformat(span[0]) <= time <= datetime.fromisoformat(span[1])
    return True


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return str(value).split(",") if isinstance(value, str) else list(value)

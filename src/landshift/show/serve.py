"""Hand out a finished site on this machine, for a look at it; any other web host does as well."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from landshift.errors import ConfigError, StoreError

__all__ = ["open_server", "serve", "site_folder"]

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
_TRIES: Final = 50
"""How many ports above the wanted one are tried."""


def serve(
    out: str | Path = "out",
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    say: Callable[[str], object] | None = None,
) -> None:
    """Serve a site until Ctrl-C.

    Args:
        out: An output folder, or a site folder.
        port: Where to listen; where it is in use, the next free one. 0 takes any.
        host: Address to listen on; the default is reached from this machine alone.
        say: Takes the lines that tell where the site is; standard output by default.

    Raises:
        StoreError: There is no site.
        ConfigError: No port is free, or the address is not this machine's.
    """
    tell = say or _print
    with open_server(Path(out), port=port, host=host) as server:
        taken = server.server_address[1]
        tell(f"{site_folder(Path(out))} is at http://{host}:{taken}/  (Ctrl-C ends it)")
        if port not in {0, taken}:
            tell(f"port {port} is in use by another program")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("ended")


def open_server(out: Path, *, port: int = 0, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server that has its port and waits for ``serve_forever``.

    Args:
        out: An output folder, or a site folder.
        port: Where to listen; where it is in use, the next free one. 0 takes any.
        host: Address to listen on.

    Raises:
        StoreError: There is no site.
        ConfigError: No port is free, or the address is not this machine's.
    """
    handler = functools.partial(_Handler, directory=str(site_folder(out)))
    if not 0 <= port <= 65535:
        raise ConfigError("not a port", got=port, allowed="0 to 65535")
    refused: OSError | None = None
    for number in range(port, min(port + _TRIES, 65536)) if port else (0,):
        try:
            return _Server((host, number), handler)
        except OSError as error:
            refused = error
    reason = refused.strerror if refused else None
    raise ConfigError("cannot listen", where=f"{host}:{port}", got=reason, hint="name another --port")


def site_folder(out: Path) -> Path:
    """Where the page is: the folder itself, or ``site`` in it.

    Raises:
        StoreError: There is no page in either.
    """
    for folder in (out / "site", out):
        if (folder / "index.html").is_file() and (folder / "data.json").is_file():
            return folder
    hint = "run the recipe to its end: a site is written where there are maps"
    raise StoreError("there is no site here", where=out / "site", hint=hint)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # there, it would let two servers share a port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away: it does so whenever a map moves on before its tiles are there."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Files with the right types, no listing of folders, nothing kept by the browser without asking."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012 - as the base class declares it

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Folders are nobody's business."""
        del path
        self.send_error(HTTPStatus.NOT_FOUND, "not found")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing of requests."""


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

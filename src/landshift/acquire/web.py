"""JSON over the network: retried with growing pauses where that can help, and plain words where it cannot.

A server that is busy (429, 5xx) or drops the line is asked again, as it says itself (``Retry-After``) or after
0.5, 1, 2, 4 ... seconds. What remains becomes a NetworkError that says what to do.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.access import bare
from landshift.acquire.static import NOTHING_THERE, is_remote
from landshift.errors import ConfigError, NetworkError, SceneError

if TYPE_CHECKING:
    from pystac_client.stac_api_io import StacApiIO

__all__ = ["explain_failure", "head", "read_bytes", "read_json", "session"]

RETRIES: Final = 5
"""Times a request is made again."""
BACKOFF_S: Final = 0.5
"""Pause before the second retry, doubled for each further one."""
LONGEST_PAUSE_S: Final = 120.0
"""Longest pause a server may ask for."""
TIMEOUT_S: Final = (10.0, 60.0)
"""Longest wait for a connection, and for an answer."""
BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
"""Answers that are worth another try."""


def session() -> StacApiIO:
    """A session with our retries and patience; ``LANDSHIFT_BACKOFF`` sets the pause in seconds."""
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import BaseHTTPResponse, Retry

    class Patient(Retry):
        """Waits as long as the server asks for, within reason."""

        def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_PAUSE_S)

    retry = Patient(
        total=RETRIES,
        connect=2,
        backoff_factor=float(os.environ.get("LANDSHIFT_BACKOFF", BACKOFF_S)),
        status_forcelist=BUSY,
        allowed_methods=None,
        respect_retry_after_header=True,
    )
    return StacApiIO(max_retries=retry, timeout=TIMEOUT_S)


def read_json(address: str, io: StacApiIO | None = None) -> Any:
    """Read a JSON document from disk or from a server.

    Args:
        address: A path or an http(s) address.
        io: A session to reuse.

    Raises:
        ConfigError: A local file does not exist.
        NetworkError: The server does not answer, or refuses.
        SceneError: What it holds is no JSON.
    """
    from pystac_client.exceptions import APIError

    try:
        text = (
            (io or session()).read_text(address)
            if is_remote(address)
            else Path(address).read_text(encoding="utf-8")
        )
    except APIError as error:
        raise explain_failure(error, address) from error
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ConfigError("the catalogue does not exist", where="url", got=address) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError("unreadable", where=address, got=str(error)) from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise SceneError("not JSON", where=address, got=str(error), hint="fetch the file again") from error


def read_bytes(address: str) -> bytes:
    """Read a whole file from a server.

    Args:
        address: An http(s) address.

    Raises:
        NetworkError: The server does not answer, or refuses.
    """
    return _send("GET", address)[1]


def head(address: str) -> dict[str, str]:
    """What a server says of a file, by lower-case name of the header.

    Args:
        address: An http(s) address.

    Raises:
        NetworkError: The server does not answer, or refuses.
    """
    return _send("HEAD", address)[0]


def _send(method: str, address: str) -> tuple[dict[str, str], bytes]:
    from pystac_client.exceptions import APIError
    from requests import RequestException

    io = session()
    try:
        answer = io.session.request(method, address, timeout=TIMEOUT_S)
        if not answer.ok:
            raise APIError.from_response(answer)
        return {name.lower(): value for name, value in answer.headers.items()}, answer.content
    except (RequestException, APIError) as error:
        raise explain_failure(error, bare(address)) from error
    finally:
        io.session.close()


def explain_failure(error: Exception, address: str) -> NetworkError:
    """Say what a failed request means and what to do.

    Args:
        error: What the client raised.
        address: What was asked.
    """
    status = getattr(error, "status_code", None)
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if status in {401, 403}:
        hint = "this server wants an account: see docs/acquire.md on catalogues"
        return NetworkError("the server refuses", where=address, got=f"{status}: {text[:200]}", hint=hint)
    if status in {404, 410}:
        return NetworkError(NOTHING_THERE, where=address, got=str(status), hint="check `url`")
    if status is not None and 400 <= status < 500:
        hint = "check collection, place and time of the search"
        return NetworkError(
            "the server does not accept the request", where=address, got=f"{status}: {text[:200]}", hint=hint
        )
    busy = status is not None or "too many" in text
    message = (
        f"the server is busy; gave up after {RETRIES} retries" if busy else "no answer: is there a network?"
    )
    hint = (
        "try again later; what is done is kept"
        if busy
        else 'check the connection or proxy; without internet use from = "folder", from = "simulate" or what `fetch` has stored'
    )
    return NetworkError(message, where=address, got=text[:200], hint=hint)

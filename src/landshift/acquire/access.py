"""How GDAL reaches a file: signed where a provider hands out tokens, with keys and endpoint where a bucket wants them.

Addresses in items, inventories and cache keys stay bare; a token lives minutes, so one is put on at the moment a file
is opened, and renewed before it ends.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from landshift.acquire.catalogue import Signing, catalogues
from landshift.acquire.static import NOTHING_THERE
from landshift.errors import NetworkError

__all__ = ["bare", "gdal_options", "signed"]

_SPARE: Final = timedelta(minutes=10)
"""A token is renewed when less than this is left of it."""


def bare(href: str) -> str:
    """An address without query and signature.

    >>> bare("https://a.blob.core.windows.net/c/b.tif?sig=x")
    'https://a.blob.core.windows.net/c/b.tif'
    """
    return href.split("?", maxsplit=1)[0] if "://" in href else href


def signed(href: str) -> str:
    """The address that may be read: with a token where its host wants one.

    Args:
        href: Address of an asset; one that is signed already stays as it is.

    Raises:
        NetworkError: The provider's token service does not answer.
    """
    if not href.startswith("https://") and not href.startswith("http://"):
        return href
    for catalogue in catalogues().values():
        if catalogue.signing is not None and urlsplit(href).netloc.endswith(catalogue.signing.host):
            return _TOKENS.sign(href, catalogue.signing)
    return href


def gdal_options(href: str) -> dict[str, Any]:
    """GDAL options for one address, beside what the user's environment says.

    Args:
        href: Address of an asset.

    >>> sorted(gdal_options("data/a.tif"))
    []
    """
    if not href.startswith("s3://"):
        return {}
    options: dict[str, Any] = {}
    bucket = urlsplit(href).netloc
    for catalogue in catalogues().values():
        if catalogue.bucket == bucket:
            options = {name: value for name, value in catalogue.gdal.items() if name not in os.environ}
            break
    has_keys = any(name in os.environ for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN"))
    return options if has_keys else {**options, "AWS_NO_SIGN_REQUEST": "YES"}


@dataclass
class _Tokens:
    """Tokens by storage account and container, shared by all threads."""

    known: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sign(self, href: str, signing: Signing) -> str:
        """Put the container's token on an address."""
        parts = urlsplit(href)
        if "sig=" in parts.query:
            return href
        account, container = parts.netloc.split(".")[0], parts.path.strip("/").split("/")[0]
        token = self._token(account, container, signing)
        joint = "&" if parts.query else "?"
        return f"{href}{joint}{token}" if token else href

    def _token(self, account: str, container: str, signing: Signing) -> str:
        with self.lock:
            token, ends = self.known.get((account, container), ("", datetime.min.replace(tzinfo=UTC)))
            if datetime.now(tz=UTC) + _SPARE < ends:
                return token
            token, ends = _ask(signing.endpoint.format(account=account, container=container))
            self.known[account, container] = (token, ends)
            return token


def _ask(address: str) -> tuple[str, datetime]:
    """Ask for a token; a storage account that is none of the provider's is read without one."""
    from landshift.acquire.web import read_json

    try:
        answer = read_json(address)
        return str(answer["token"]), datetime.fromisoformat(answer["msft:expiry"]).astimezone(UTC)
    except NetworkError as error:
        if error.message == NOTHING_THERE:
            return "", datetime.now(tz=UTC) + timedelta(hours=1)
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkError("the token service gave no token", where=address, got=str(error)) from error


_TOKENS: Final = _Tokens()

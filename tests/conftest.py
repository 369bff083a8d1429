"""What all tests share: where the real data is, and a network that is closed."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

# A busy machine is slow: no test fails for the time an example takes.
settings.register_profile("landshift", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("landshift")

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real satellite data, or a skip that says how to provide it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LANDSHIFT_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data: set LANDSHIFT_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def _closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests reach this machine alone."""
    connect: Callable[..., None] = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and host not in _LOOPBACK:
            raise OSError(101, f"tests may not reach {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)

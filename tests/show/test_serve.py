"""The small server: right files with right types, nothing else, and words when it cannot."""

import functools
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from landshift.errors import ConfigError, StoreError
from landshift.show.serve import open_server, serve, site_folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a page in it and a file beside it."""
    made = tmp_path_factory.mktemp("out")
    site = made / "site"
    (site / "tiles").mkdir(parents=True)
    for name in ("index.html", "app.js", "data.json", "style.css", "tiles/0.png"):
        (site / name).write_text(name)
    (made / "run.json").write_text("{}")
    return made


@pytest.fixture(scope="module")
def address(out: Path) -> Iterator[str]:
    """A server with the site."""
    with open_server(out) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.02))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("app.js", "text/javascript"),
        ("data.json", "application/json"),
        ("style.css", "text/css"),
    ],
)
def test_files_are_served_with_their_types(address: str, path: str, kind: str) -> None:
    with urllib.request.urlopen(address + path, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.read().decode() == (path or "index.html")


@pytest.mark.parametrize("path", ["tiles/", "../run.json", "%2e%2e/run.json", "nothing.png"])
def test_folders_and_what_lies_outside_are_not_served(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + path, timeout=5).close()


def test_a_taken_port_gives_the_next_one(out: Path) -> None:
    with open_server(out) as first:
        taken = first.server_address[1]
        with open_server(out, port=taken) as second:
            assert taken < second.server_address[1] <= taken + 50


def test_serve_says_where_the_site_is_and_ends_quietly(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landshift.show.serve.ThreadingHTTPServer.serve_forever", interrupted)
    serve(out, port=0, say=said.append)
    assert re.search(r"http://127\.0\.0\.1:\d+/", said[0])
    assert said[-1] == "ended"


def test_serving_needs_a_site_and_a_port(out: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no site here"):
        open_server(tmp_path)
    with pytest.raises(ConfigError, match="not a port"):
        open_server(out, port=70_000)
    assert site_folder(out / "site") == out / "site"


@pytest.mark.parametrize(
    ("error", "told"),
    [(BrokenPipeError(), False), (ConnectionResetError(), False), (ValueError("a defect"), True)],
)
def test_a_browser_that_goes_away_is_no_news_and_a_defect_is(
    out: Path, capsys: pytest.CaptureFixture[str], error: Exception, *, told: bool
) -> None:
    with open_server(out) as server:
        try:
            raise error
        except type(error):
            server.handle_error(object(), ("127.0.0.1", 1))  # type: ignore[arg-type]  # no socket is needed to tell of one
    assert ("a defect" in capsys.readouterr().err) == told

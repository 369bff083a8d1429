from __future__ import annotations

from pathlib import Path

import pytest

from landshift.acquire import access
from landshift.acquire.access import bare, gdal_options, signed
from landshift.acquire.catalogue import Catalogue, Signing, catalogue, catalogues
from landshift.acquire.datasets import Raster
from landshift.acquire.tiles import TileReader
from landshift.errors import ConfigError, NetworkError
from loopback_stac import serve
from tiny_rasters import Tiff, write


def test_every_catalogue_says_where_it_is_and_what_it_holds() -> None:
    for facts in catalogues().values():
        assert facts.url.startswith("https://")
        assert "sentinel-2-l2a" in facts.collections
    assert "requester" in catalogue("earth-search").note("landsat-c2-l2")
    assert catalogue("earth-search").note("sentinel-2-l2a") == ""
    assert "AWS_ACCESS_KEY_ID" in catalogue("cdse").note("sentinel-2-l2a")
    with pytest.raises(ConfigError, match="did you mean 'cdse'"):
        catalogue("cdsee")


def test_a_token_is_put_on_once_per_container_and_only_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.tif", Tiff(driver="COG"))
    with serve(tmp_path) as state:
        state.token = "secret"  # noqa: S105 - made up
        signing = Signing(
            host=f"127.0.0.1:{state.port}", endpoint=f"{state.url}/token/{{account}}/{{container}}"
        )
        facts = Catalogue(name="pc", title="", url=state.api, signing=signing)
        monkeypatch.setattr(access, "catalogues", lambda: {"pc": facts})
        monkeypatch.setattr(access, "_TOKENS", access._Tokens())
        href = f"{state.url}/files/a.tif"
        assert signed(href) == f"{href}?sig=secret"
        assert signed(f"{href}?x=1") == f"{href}?x=1&sig=secret"
        assert signed(f"{href}?sig=mine") == f"{href}?sig=mine"
        assert signed("https://elsewhere.org/a.tif") == "https://elsewhere.org/a.tif"
        assert state.asked("/token/") == 1
        with TileReader(held_bytes=0) as reader:
            pixels = reader.read(Raster(href=href), [1], slice(0, 8), slice(0, 8))
        assert pixels.shape == (1, 8, 8)
        assert state.asked("/token/") == 1


def test_a_token_service_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDSHIFT_BACKOFF", "0.01")
    with serve(tmp_path) as state:
        signing = Signing(
            host=f"127.0.0.1:{state.port}", endpoint=f"{state.url}/token/{{account}}/{{container}}"
        )
        monkeypatch.setattr(
            access, "catalogues", lambda: {"pc": Catalogue(name="pc", title="", url="", signing=signing)}
        )
        monkeypatch.setattr(access, "_TOKENS", access._Tokens())
        state.fail("/token/", *[503] * 9)
        with pytest.raises(NetworkError, match="busy"):
            signed(f"{state.url}/files/a.tif")
        state.failures.clear()
        state.fail("/token/", 404)
        plain = f"{state.url}/files/a.tif"
        assert signed(plain) == plain, "a storage account of somebody else is read as it is"


def test_addresses_are_bare_without_their_query_and_paths_stay() -> None:
    assert bare("https://a/b.tif?x=1") == "https://a/b.tif"
    assert bare("data/what?.tif") == "data/what?.tif"


def test_a_bucket_is_reached_as_its_catalogue_says_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert gdal_options("s3://sentinel-cogs/a.tif") == {"AWS_NO_SIGN_REQUEST": "YES"}
    assert gdal_options("https://a/b.tif") == {}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    assert gdal_options("s3://eodata/a.jp2")["AWS_S3_ENDPOINT"] == "eodata.dataspace.copernicus.eu"
    monkeypatch.setenv("AWS_S3_ENDPOINT", "mine")
    assert "AWS_S3_ENDPOINT" not in gdal_options("s3://eodata/a.jp2")

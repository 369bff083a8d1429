from __future__ import annotations

from datetime import date
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.acquire.dates import date_of, parse


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("S2_T37MEM_20160312_sr1000.tif", "2016-03-12T00:00:00"),
        ("S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947.tif", "2020-02-19T11:21:11"),
        ("LC08_L2SP_005009_20150710_20200908_02_T2_SR_B2.TIF", "2015-07-10T00:00:00"),
        ("ndvi-2019-05-03.tif", "2019-05-03T00:00:00"),
        ("ndvi_2019_05_03.tif", "2019-05-03T00:00:00"),
        ("openEO_2023-06-01Z.tif", "2023-06-01T00:00:00"),
        ("MOD13Q1.A2013273.h12v10.tif", "2013-09-30T00:00:00"),
    ],
)
def test_common_names_hold_their_date(name: str, said: str) -> None:
    found = date_of(PurePath("x") / name, {}, None)
    assert found is not None
    assert found.isoformat() == f"{said}+00:00"


@pytest.mark.parametrize("name", ["dem.tif", "T37MEM_12345678.tif", "20201301.tif", "band_4.tif"])
def test_what_is_no_date_is_not_taken_for_one(name: str) -> None:
    assert date_of(PurePath(name), {}, None) is None


def test_a_tag_of_acquisition_beats_the_name_and_a_processing_tag_does_not() -> None:
    path = PurePath("x_20200101.tif")
    acquired = date_of(path, {"ACQUISITION_DATE": "2016-03-12"}, None)
    processed = date_of(path, {"TIFFTAG_DATETIME": "2021:01:01 00:00:00"}, None)
    assert acquired is not None
    assert processed is not None
    assert (acquired.year, processed.year) == (2016, 2020)


def test_a_rule_is_a_format_a_tag_or_a_date() -> None:
    path = PurePath("scene_31.12.2019_v20200101.tif")
    made = [date_of(path, {"when": "2018-05-05"}, rule) for rule in ("%d.%m.%Y", "WHEN", "2021-05-27")]
    assert [day and day.date() for day in made] == [date(2019, 12, 31), date(2018, 5, 5), date(2021, 5, 27)]


def test_the_folder_is_asked_where_the_name_says_nothing() -> None:
    found = date_of(PurePath("S2A_29RKH_20200219_0_L2A/B02.tif"), {}, None)
    assert found is not None
    assert found.date() == date(2020, 2, 19)


@given(
    day=st.dates(date(1984, 1, 1), date(2060, 1, 1)),
    form=st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y%j", "%d%b%Y"]),
)
def test_a_format_finds_the_date_it_wrote(day: date, form: str) -> None:
    found = date_of(PurePath(f"a_{day.strftime(form)}_b.tif"), {}, form)
    assert found is not None
    assert found.date() == day


def test_a_zone_is_heeded() -> None:
    found = parse("2020-01-01T01:00:00+02:00")
    assert found is not None
    assert found.isoformat() == "2019-12-31T23:00:00+00:00"

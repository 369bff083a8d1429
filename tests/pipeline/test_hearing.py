"""Quality warnings of a thread are heard, whatever other threads do with Python's one hook."""

from __future__ import annotations

import threading
import warnings

import pytest

from landshift.errors import DataQualityWarning
from landshift.pipeline.hearing import hearing, listening


def doubt() -> None:
    warnings.warn("the masks look odd", DataQualityWarning, stacklevel=1)


def test_a_thread_hears_its_own_quality_warnings_and_no_others() -> None:
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught, listening():
        warnings.simplefilter("always")
        with hearing(said):
            doubt()
            warnings.warn("a library is old", DeprecationWarning, stacklevel=1)
            other = threading.Thread(target=doubt)
            other.start()
            other.join()
        doubt()
    assert said == ["the masks look odd"]
    assert [entry.category for entry in caught] == [
        DeprecationWarning,
        DataQualityWarning,
        DataQualityWarning,
    ]


@pytest.mark.parametrize("stage", [True, False], ids=["in a stage", "in a worker"])
def test_a_hook_that_is_put_back_late_forms_no_circle(*, stage: bool) -> None:
    """Another thread's ``catch_warnings`` begins while somebody listens and ends after the last one."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            theirs = warnings.catch_warnings()
            if stage:
                with listening(), hearing(said):
                    theirs.__enter__()
            else:
                with hearing(said):
                    theirs.__enter__()
            theirs.__exit__(None, None, None)
            with hearing(said):
                doubt()
            warnings.warn("a library is old", DeprecationWarning, stacklevel=1)
    assert said == ["the masks look odd"] * 3
    assert [entry.category for entry in caught] == [DeprecationWarning] * 3


def test_after_the_stage_the_hook_is_the_old_one() -> None:
    before = warnings.showwarning
    with listening(), hearing([]):
        assert warnings.showwarning is not before
    assert warnings.showwarning is before

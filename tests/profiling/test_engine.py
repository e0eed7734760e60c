"""The data engine on the clock."""

from pathlib import Path

import builds
import pytest

from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.tools import offline_stages
from unigeoseg.errors import DataError
from unigeoseg.profiling.engine import UNTIMED, engine_table, profile_engine

OPTIONS = Options(size=96, stride=64)


def test_every_stage_is_timed_and_the_table_has_them_all(towns: Path):
    speed = profile_engine(builds.sources(towns), OPTIONS, offline_stages(0), limit=2)
    assert speed.patches == 2 and speed.triplets > 0 and speed.peak_mb > 0
    assert {UNTIMED, "judge", "write", "score, text/1", "store"} <= speed.seconds.keys()
    assert all(seconds >= 0 for seconds in speed.seconds.values())
    assert speed.rate == pytest.approx(speed.triplets / speed.total)
    table = engine_table(speed)
    assert [stage for stage, *_ in table.rows] == list(speed.seconds)
    assert "triplets of 2 patches" in table.note


def test_no_patch_is_an_error(tmp_path: Path):
    with pytest.raises(DataError):
        profile_engine([(None, tmp_path)], OPTIONS, offline_stages(0), limit=2)

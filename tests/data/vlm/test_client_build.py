"""Builds by models behind a real local server: patches overlap, the bytes stay the same."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import builds
import pytest
from talker import Asked, Say, completion, talking

from unigeoseg.data.builder.pipeline import build_dataset
from unigeoseg.data.builder.tools import Tools, ToolsLoader
from unigeoseg.data.builder.unit import Job
from unigeoseg.errors import CostCapError, OnlineRequestError

MODELS = ("judge", "writer", "first", "second")
TOGETHER = 12
WAIT_S = 20.0


def content(asked: Asked) -> str:
    """What decides the reply to a request."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def said(asked: Asked) -> Say:
    """Levels and words that depend on the request alone."""
    digest = content(asked)
    fields = asked["response_format"]["json_schema"]["schema"]["properties"]
    words = {"array": [f"cue {digest[:4]}", f"cue {digest[4:8]}"], "string": f"what {digest[:8]}"}
    level = 2 if digest[0] in "0123" else 5  # a quarter is refused
    return completion(
        json.dumps({name: words.get(about.get("type"), level) for name, about in fields.items()})
    )


def models(folder: Path, url: str, **changes) -> Path:
    one, two, *scorers = ({"base_url": url, "model": name, **changes} for name in MODELS)
    path = folder / "models.json"
    path.write_text(json.dumps({"judge": one, "writer": two, "scorers": scorers}))
    return path


def built(folder: Path, out: Path, models: Path, load: Callable = ToolsLoader) -> dict[str, bytes]:
    loader = load(builds.OPTIONS.seed, models, out.with_name(f"{out.name}.replies"))
    build_dataset(Job(out, builds.OPTIONS, loader), builds.sources(folder))
    return builds.files(out)


@dataclass(frozen=True)
class OneByOne:
    """Tools that take one patch at a time."""

    seed: int
    models: Path
    replies: Path

    def __call__(self) -> Tools:
        return replace(ToolsLoader(self.seed, self.models, self.replies)(), concurrency=1)


@dataclass
class Crowd:
    """Holds back every answer of the judge until so many requests were there together."""

    wanted: int
    most: int = 0
    _here: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, _: int, asked: Asked) -> Say:
        if asked["model"] == "judge":
            with self._changed:
                self._here += 1
                self.most = max(self.most, self._here)
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self.most >= self.wanted, WAIT_S):
                    self.wanted = 0  # it will not happen: the test fails, and need not be slow
                self._here -= 1
        return said(asked)


@pytest.fixture(scope="module")
def villages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of one patch each, and so of few requests each."""
    return builds.write_towns(tmp_path_factory.mktemp("sets") / "villages", images=8, side=96)


def test_patches_of_a_unit_are_asked_about_together(villages: Path, tmp_path: Path):
    crowd = Crowd(TOGETHER)
    with talking(crowd) as talker:
        built(villages, tmp_path / "out", models(tmp_path, talker.url, concurrency=TOGETHER))
    assert crowd.most == TOGETHER


def test_many_at_a_time_write_the_same_bytes_as_one(villages: Path, tmp_path: Path):
    with talking(lambda _, asked: said(asked)) as talker:
        path = models(tmp_path, talker.url, concurrency=TOGETHER)
        many = built(villages, tmp_path / "many", path)
        asked = len(talker.asked)
        assert asked == len({content(each) for each in talker.asked})
        assert many == built(villages, tmp_path / "one", path, OneByOne)
    assert {"referring", "attribute"} <= json.loads(many["dataset.json"])["families"].keys()
    assert {"judge", "score"} <= json.loads(many["dataset.json"])["rejections"].keys()
    assert len(talker.asked) == 2 * asked


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(villages: Path, tmp_path: Path):
    fails_from = 40

    def say(number: int, asked: Asked) -> Say:
        return Say("{}", 401) if number >= fails_from else said(asked)

    with talking(say) as talker:
        path = models(tmp_path, talker.url, concurrency=3)
        with pytest.raises(OnlineRequestError, match="401"):
            built(villages, tmp_path / "out", path)
        answered = Counter(content(each) for each in talker.asked[:fails_from])
    with talking(lambda _, asked: said(asked)) as again:
        path = models(tmp_path, again.url, concurrency=3)
        resumed = built(villages, tmp_path / "out", path)
        answered += Counter(content(each) for each in again.asked)
        assert resumed == built(villages, tmp_path / "other", path)
    assert set(answered.values()) == {1}


def test_the_cost_cap_holds_with_many_patches_under_way(villages: Path, tmp_path: Path):
    # a reply costs 10 tokens, and a request may cost no more
    prices = {"output_price": 1e6, "parameters": {"max_tokens": 10}}
    with talking(lambda _, asked: said(asked)) as talker:
        path = models(tmp_path, talker.url, concurrency=TOGETHER, cost_cap=75.0, **prices)
        with pytest.raises(CostCapError, match="could pass cost_cap 75; raise it"):
            built(villages, tmp_path / "out", path)
    # ten are wanted; what was counted and not yet sent when the cap was met is not sent
    assert 1 <= max(Counter(each["model"] for each in talker.asked).values()) <= 7


@pytest.mark.parametrize("status", [200, 401])
def test_connections_are_closed_when_a_build_ends_or_fails(status, villages: Path, tmp_path: Path):
    before = set(threading.enumerate())
    with talking(lambda _, asked: said(asked) if status == 200 else Say("{}", status)) as talker:
        path = models(tmp_path, talker.url)
        if status == 200:
            built(villages, tmp_path / "out", path)
        else:
            with pytest.raises(OnlineRequestError):
                built(villages, tmp_path / "out", path)
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("online")]

import json
from dataclasses import fields
from pathlib import Path

import pytest

from unigeoseg.data.vlm import online_stages
from unigeoseg.data.vlm.answers import Judgement, Score
from unigeoseg.data.vlm.config import JudgeLimits, OnlineConfig, ScoreLimits, load_models
from unigeoseg.errors import OptionError

FILE = """
[judge]
base_url = "http://127.0.0.1:8000/v1"
model = "a"
parameters = { temperature = 0, max_tokens = 300, top_k = 1 }
[writer]
base_url = "https://models.example/v1"
model = "b"
key_variable = "WRITER_KEY"
input_price = 2
output_price = 8.5
cost_cap = 100
[[scorers]]
base_url = "http://127.0.0.1:8001/v1"
model = "c"
[[scorers]]
base_url = "http://127.0.0.1:8002/v1"
model = "d"
[score_limits]
mask = 3
"""


def write(folder: Path, text: str = FILE, name: str = "models.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_of_models(tmp_path):
    models = load_models(write(tmp_path))
    assert [config.model for config in (models.judge, models.writer, *models.scorers)] == [*"abcd"]
    assert models.judge.parameters == {"temperature": 0, "max_tokens": 300, "top_k": 1}
    assert models.writer.price(1_000_000, 2_000_000) == 19
    assert (models.score_limits.mask, models.score_limits.clarity) == (3, 4)


def test_json_says_the_same(tmp_path):
    one = {"base_url": "http://127.0.0.1:1/v1"}
    values = {
        "judge": one | {"model": "a"},
        "writer": one | {"model": "a"},
        "scorers": [one | {"model": "c"}, one | {"model": "d"}],
    }
    models = load_models(write(tmp_path, json.dumps(values), "models.json"))
    assert models.scorers[1].model == "d"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cost_cap = 100", "cost_cup = 100", "writer: unknown fields cost_cup"),
        ('model = "a"', "model = 3", r"judge\.model: got int, expected str"),
        ('model = "a"', 'model = " "', "model is empty"),
        ('model = "a"', "", r"judge\.model: 'model' is missing"),
        (
            "[judge]",
            "[jury]",
            "unknown fields jury.*'judge' is missing|'judge' is missing.*unknown fields jury",
        ),
        ('model = "d"', 'model = "b"', "b, c, b; a model must not score itself"),
        ('model = "d"', 'model = "c"', "give three different models"),
        ("mask = 3", "mask = 6", "mask is 6, levels go from 1 to 5"),
        ("mask = 3", "looks = 3", "score_limits: unknown fields looks"),
        ("max_tokens = 300", "max_tokens = 0", "must bound the answer"),
        ("max_tokens = 300", "max_tokens = true", "must bound the answer"),
        ("max_tokens = 300, ", "", "must bound the answer"),
        ("top_k = 1", "stream = true", "parameters has stream"),
        ("output_price = 8.5", "output_price = -1", "output_price is -1.0; it must be at least 0"),
        ("output_price = 8.5", "output_price = nan", "output_price: nan is not a finite number"),
        ("input_price = 2\noutput_price = 8.5", "", "prices of a million tokens"),
        ("cost_cap = 100", "concurrency = 0", "concurrency is 0; it must be above 0"),
        ("cost_cap = 100", "tries = 0", "tries is 0; it must be above 0"),
        ("cost_cap = 100", "jpeg_quality = 101", "at most 100"),
        ("cost_cap = 100", "requests_per_minute = 0", "requests_per_minute is 0"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000/v1", "base_url must be http"),
        ("http://127.0.0.1:8000/v1", "file:///etc/passwd", "base_url must be http"),
        ('model = "a"', 'model = "a', "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, old, new, message):
    assert old in FILE
    path = write(tmp_path, FILE.replace(old, new, 1))
    with pytest.raises(OptionError, match=message) as raised:
        load_models(path)
    assert str(raised.value).startswith(f"{path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WRITER_KEY", "sk-proj-0123456789"),
        ("https://models", "https://user:sk-proj-0123456789@models"),
        ("input_price = 2", 'input_price = "sk-proj-0123456789"'),
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path, old, new):
    path = write(tmp_path, FILE.replace(old, new, 1))
    with pytest.raises(OptionError, match=r"key|expected float") as raised:
        load_models(path)
    assert "sk-proj" not in str(raised.value)


def test_three_scorers_are_one_too_many(tmp_path):
    more = FILE + '\n[[scorers]]\nbase_url = "http://127.0.0.1:8002/v1"\nmodel = "e"\n'
    with pytest.raises(OptionError, match="there are 3 scorers, give 2"):
        load_models(write(tmp_path, more.replace("[score_limits]\nmask = 3\n", "")))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(OptionError, match="cannot be read: No such file"):
        load_models(tmp_path / "none.toml")
    with pytest.raises(OptionError, match=r"ends in \.yaml"):
        load_models(write(tmp_path, FILE, "models.yaml"))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="is not JSON"):
        load_models(tmp_path / "bytes.json")


def test_a_key_that_is_not_set_stops_before_the_first_image(tmp_path, monkeypatch):
    monkeypatch.delenv("WRITER_KEY", raising=False)
    with pytest.raises(OptionError, match="environment variable WRITER_KEY is not set"):
        online_stages(write(tmp_path), tmp_path / "cache")


def test_limits_are_dimensions_of_the_answers():
    for limits, answer in ((JudgeLimits, Judgement), (ScoreLimits, Score)):
        assert ["reason", *(each.name for each in fields(limits))] == [*answer.model_fields]


def test_the_defaults_hold():
    assert OnlineConfig(base_url="http://127.0.0.1:1/v1", model="m").output_bound == 1024

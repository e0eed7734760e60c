"""The client against a real local server: answers, faults, cache, caps."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from talker import Asked, Say, Talker, Time, completion, talking

from unigeoseg.data.vlm.answers import Expression, Judgement
from unigeoseg.data.vlm.cache import ReplyCache
from unigeoseg.data.vlm.client import NoAnswer, OnlineClient, Question
from unigeoseg.data.vlm.config import OnlineConfig
from unigeoseg.errors import (
    CostCapError,
    OnlineRequestError,
    OnlineUnavailableError,
    OptionError,
    OutputUnwritableError,
)

KEY = "sk-test-0123456789abcdef"
POND = '{"expression": "the pond beside the road"}'
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
QUESTION = Question("Name it.", IMAGE, Expression)


@pytest.fixture
def at(tmp_path: Path, monkeypatch) -> Iterator[Callable[..., OnlineClient]]:
    """Makes clients of a server's address; they share a cache and are closed at the end."""
    monkeypatch.setenv("TALKER_KEY", KEY)
    clients = []

    def make(url: str, time: Time | None = None, **changes) -> OnlineClient:
        config = OnlineConfig(
            **{"base_url": url, "model": "m", "key_variable": "TALKER_KEY", "tries": 3} | changes
        )
        client = OnlineClient(config, tmp_path / "cache", (time or Time()).waiting())
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@contextmanager
def saying(*says: Say | None) -> Iterator[Talker]:
    """A server that says these one after another, the last for ever."""
    with talking(lambda number, _: says[min(number, len(says) - 1)]) as talker:
        yield talker


def test_a_good_answer_and_what_was_sent(at):
    with saying(completion(POND)) as talker:
        answer = at(talker.url).ask(QUESTION)
    assert answer == Expression(expression="the pond beside the road")
    (asked,) = talker.asked
    text, image = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "Name it."}
    packed = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    seen = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(seen, IMAGE)
    assert asked["max_tokens"] == 1024
    assert asked["model"] == "m"
    form = asked["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["required"] == ["expression"]
    assert form["json_schema"]["schema"]["additionalProperties"] is False
    assert talker.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_server_without_schemas_is_asked_in_words_alone(at):
    said = f"<think>{{maybe}}</think>Here you are:\n```json\n{POND}\n```"
    with saying(completion(said)) as talker:
        answer = at(talker.url, structured=False, jpeg_quality=90).ask(QUESTION)
    assert isinstance(answer, Expression)
    assert "response_format" not in talker.asked[0]
    url = talker.asked[0]["messages"][0]["content"][1]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")


MALFORMED = {
    "not JSON": "the pond",
    "cut JSON": '{"expression": "the po',
    "wrong field": '{"phrase": "the pond"}',
    "extra field": '{"expression": "the pond", "sure": true}',
    "wrong type": '{"expression": ["the pond"]}',
    "empty": "",
    "nothing": None,
    "blank text": '{"expression": " "}',
    "control characters": '{"expression": "the \\u0000pond"}',
    "mentions the drawing": '{"expression": "the pond outlined in red"}',
    "huge": json.dumps({"expression": "pond " * 400_000}),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_asked_for_again_with_the_complaint(at, text):
    with saying(completion(text), completion(POND)) as talker:
        answer = at(talker.url).ask(QUESTION)
    assert isinstance(answer, Expression)
    assert len(talker.asked) == 2
    _, said, complaint = talker.asked[1]["messages"]
    assert said == {"role": "assistant", "content": (text or "")[:2000]}
    assert complaint["content"].startswith("That answer cannot be used: ")


def test_malformed_for_ever_is_a_rejection_and_is_kept(at):
    with saying(completion('{"expression": 3}')) as talker:
        client = at(talker.url, repairs=2)
        answer = client.ask(QUESTION)
        assert answer == NoAnswer("malformed", "expression: Input should be a valid string")
        assert at(talker.url, repairs=2).ask(QUESTION) == answer
    assert len(talker.asked) == 3


@pytest.mark.parametrize(
    ("say", "words"),
    [
        (completion(None, refusal="I will not."), "I will not."),
        (completion("", finish_reason="content_filter"), "content filter"),
        (
            Say('{"error": {"message": "filtered", "code": "content_filter"}}', 400),
            "Error code: 400",
        ),
    ],
)
def test_a_refusal_is_a_rejection_with_its_reason_and_is_kept(at, say, words):
    with saying(say) as talker:
        answer = at(talker.url).ask(QUESTION)
        assert isinstance(answer, NoAnswer)
        assert answer.rule == "refused"
        assert words in answer.detail
        assert at(talker.url).ask(QUESTION) == answer
    assert len(talker.asked) == 1


TRANSIENT = {
    "500": Say("oops", 500),
    "502": Say("<html>bad gateway</html>", 502),
    "503": Say("{}", 503),
    "429": Say('{"error": {"message": "slow down"}}', 429),
    "hangs up": None,
    "cut body": replace(completion(POND), cut=True),
    "half JSON": Say('{"choices": [{"mess'),
    "no choices": Say('{"choices": []}'),
    "an error as 200": Say('{"error": {"message": "overloaded"}}'),
    "a list": Say("[]"),
    "negative usage": completion(POND, usage={"prompt_tokens": -5, "completion_tokens": 1}),
}


@pytest.mark.parametrize("say", TRANSIENT.values(), ids=TRANSIENT)
def test_what_passes_is_tried_again_with_growing_waits(at, say):
    time = Time()
    with saying(say, say, completion(POND)) as talker:
        answer = at(talker.url, time).ask(QUESTION)
    assert isinstance(answer, Expression)
    assert time.slept == [1.0, 2.0]


@pytest.mark.parametrize("say", TRANSIENT.values(), ids=TRANSIENT)
def test_what_does_not_pass_stops_the_run_and_is_not_kept(at, say):
    with saying(say, say, say, completion(POND)) as talker:
        with pytest.raises(OnlineUnavailableError, match="gave no reply from m in 3 tries"):
            at(talker.url).ask(QUESTION)
        assert isinstance(at(talker.url).ask(QUESTION), Expression)


def test_nobody_listens(at):
    with pytest.raises(OnlineUnavailableError, match="Connection"):
        at("http://127.0.0.1:9/v1").ask(QUESTION)


def test_a_time_out_is_tried_again(at):
    hold = threading.Event()

    def say(number: int, _: Asked) -> Say:
        if number == 0:
            hold.wait(10)
        return completion(POND)

    with talking(say) as talker:
        answer = at(talker.url, timeout_s=0.1).ask(QUESTION)
        hold.set()
    assert isinstance(answer, Expression)
    assert len(talker.asked) == 2


def test_retry_after_is_heeded(at):
    time = Time()
    with saying(Say("{}", 429, {"Retry-After": "7.5"}), completion(POND)) as talker:
        at(talker.url, time).ask(QUESTION)
    assert time.slept == [7.5]


def test_retry_after_may_be_a_date_and_a_long_one_ends_the_run(at):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    time = Time()
    with (
        saying(Say("{}", 429, {"Retry-After": date})) as talker,
        pytest.raises(OnlineUnavailableError, match=r"asks to wait 3[56]\d\d"),
    ):
        at(talker.url, time).ask(QUESTION)
    assert time.slept == []
    assert len(talker.asked) == 1


@pytest.mark.parametrize("value", ["soon", "nan", "-3", ""])
def test_a_senseless_retry_after_does_no_harm(at, value):
    time = Time()
    with saying(Say("{}", 429, {"Retry-After": value}), completion(POND)) as talker:
        at(talker.url, time).ask(QUESTION)
    assert time.slept in ([1.0], [0.0])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_server_turns_down_stops_the_run_at_once(at, status):
    with (
        saying(Say(f'{{"error": {{"message": "no, {KEY}!"}}}}', status)) as talker,
        pytest.raises(OnlineRequestError, match=f"Error code: {status}.*no, \\*\\*\\*!") as raised,
    ):
        at(talker.url).ask(QUESTION)
    assert raised.value.__suppress_context__
    assert len(talker.asked) == 1


def test_the_key_never_shows(at, tmp_path, caplog):
    """A hostile server repeats it everywhere."""
    says = [
        Say(f"bad key {KEY}", 500),
        Say(f"{KEY} is not JSON"),
        completion(f'{{"expression": "{KEY}", "more": 1}}'),
        completion(None, refusal=f"no, {KEY}"),
    ]
    with saying(*says) as talker, caplog.at_level("DEBUG"):
        client = at(talker.url)
        answer = client.ask(QUESTION)
    assert answer == NoAnswer("refused", "no, ***")
    assert "not a chat completion" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(client.config)
    for file in (tmp_path / "cache").iterdir():
        assert KEY.encode() not in file.read_bytes()


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_absent_key_is_an_error_at_the_start(tmp_path, monkeypatch, value):
    monkeypatch.delenv("TALKER_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TALKER_KEY", value)
    config = OnlineConfig(base_url="http://127.0.0.1:9/v1", model="m", key_variable="TALKER_KEY")
    with pytest.raises(OptionError, match="environment variable TALKER_KEY is not set"):
        OnlineClient(config, tmp_path)


def test_a_broken_key_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("TALKER_KEY", "sk-schlüssel")
    config = OnlineConfig(base_url="http://127.0.0.1:9/v1", model="m", key_variable="TALKER_KEY")
    with pytest.raises(OptionError, match="bad characters") as raised:
        OnlineClient(config, tmp_path)
    assert "schl" not in str(raised.value)


def test_unicode_goes_through_and_comes_back_from_the_cache(at):
    said = "le étang près de l'école, 池塘"
    with saying(completion(json.dumps({"expression": said}, ensure_ascii=False))) as talker:
        first = at(talker.url).ask(replace(QUESTION, prompt="Wie heißt das? 池"))
        second = at(talker.url).ask(replace(QUESTION, prompt="Wie heißt das? 池"))
    assert first == second == Expression(expression=said)
    assert talker.prompts() == ["Wie heißt das? 池"]


def test_the_cache_tells_requests_apart_by_all_that_matters(at):
    with saying(completion(POND)) as talker:
        at(talker.url).ask(QUESTION)
        at(talker.url, concurrency=1, tries=9, timeout_s=3.0).ask(QUESTION)
        assert len(talker.asked) == 1
        dot = IMAGE.copy()
        dot[0, 0, 0] ^= 1
        at(talker.url).ask(replace(QUESTION, image=dot))
        at(talker.url).ask(replace(QUESTION, prompt="Name it!"))
        at(talker.url).ask(replace(QUESTION, answer=Judgement))
        at(talker.url, model="n").ask(QUESTION)
        at(talker.url, parameters={"max_tokens": 50}).ask(QUESTION)
        at(talker.url, structured=False).ask(QUESTION)
        at(talker.url, jpeg_quality=80).ask(QUESTION)
        # the question with the wrong form is asked three times
        assert len(talker.asked) == 1 + 6 + 3


def test_a_cost_cap_stops_before_the_request_and_a_raised_one_resumes(at):
    prices = {
        "input_price": 1e4,
        "output_price": 1e5,
        "parameters": {"max_tokens": 20},
        "image_tokens": 100,
    }
    questions = [replace(QUESTION, prompt=f"{number:08}") for number in range(5)]
    # A reply costs 100 * 0.01 + 10 * 0.1 = 2; before, a request may cost 1.02 + 2 = 3.02.
    with saying(completion(POND)) as talker:
        client = at(talker.url, cost_cap=7.5, concurrency=1, **prices)
        with pytest.raises(CostCapError, match=r"m has cost 6 and the next .* cost_cap 7\.5"):
            client.map(client.ask, questions)
        assert len(talker.asked) == 3
        with pytest.raises(CostCapError, match="has cost 6"):
            at(talker.url, cost_cap=7.5, **prices).ask(questions[4])
        more = at(talker.url, cost_cap=20.0, **prices)
        assert len(more.map(more.ask, questions)) == 5
    assert len(talker.asked) == 5


def test_requests_under_way_count_for_the_cost_cap(at):
    prices = {"input_price": 0.0, "output_price": 1e6, "parameters": {"max_tokens": 10}}
    questions = [replace(QUESTION, prompt=str(number)) for number in range(8)]
    with talking(lambda *_: completion(POND), pause_s=0.05) as talker:
        client = at(talker.url, cost_cap=20.0, concurrency=8, **prices)
        with pytest.raises(CostCapError, match="cost_cap 20"):
            client.map(client.ask, questions)
        client.close()
    assert len(talker.asked) == 2


def test_tokens_are_estimated_where_the_server_does_not_count(at, tmp_path):
    with saying(completion(POND, usage=None)) as talker:
        at(talker.url, image_tokens=50).ask(QUESTION)
        used = ReplyCache(tmp_path / "cache").token_counts("m")
    assert used == (50 + 2, -(-len(POND) // 4))


def test_concurrency_is_bounded_over_all_callers_and_order_is_kept(at):
    together = threading.Barrier(3, timeout=20)

    def say(number: int, asked: Asked) -> Say:
        if number < 3:
            together.wait()
        return completion(json.dumps({"expression": asked["messages"][0]["content"][0]["text"]}))

    found: dict[int, list[str]] = {}
    with talking(say, pause_s=0.01) as talker:
        client = at(talker.url, concurrency=3)

        def caller(number: int) -> None:
            questions = [replace(QUESTION, prompt=f"{number}-{index}") for index in range(8)]
            found[number] = [each.expression for each in client.map(client.ask, questions)]

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: [f"{number}-{index}" for index in range(8)] for number in range(4)}
    assert talker.most_at_once == 3


def test_the_same_question_of_several_threads_is_asked_once(at):
    with talking(lambda *_: completion(POND), pause_s=0.05) as talker:
        client = at(talker.url, concurrency=4)
        answers = client.map(client.ask, [QUESTION] * 4)
    assert {answer.expression for answer in answers} == {json.loads(POND)["expression"]}
    assert len(talker.asked) == 1


def test_a_failure_ends_what_has_not_begun(at):
    with saying(Say("{}", 401)) as talker:
        client = at(talker.url, concurrency=1)
        with pytest.raises(OnlineRequestError, match="401"):
            client.map(client.ask, [replace(QUESTION, prompt=str(n)) for n in range(50)])
        client.close()
    assert len(talker.asked) < 5


def test_a_failure_ends_what_has_not_begun_of_other_callers(at):
    with saying(Say("{}", 401)) as talker:
        client = at(talker.url, concurrency=1)
        for number in range(2):
            with pytest.raises(OnlineRequestError, match="401"):
                client.map(client.ask, [replace(QUESTION, prompt=str(number))])
    assert len(talker.asked) == 1


def test_tries_count_for_the_rate_cap(at):
    time = Time()
    with saying(Say("{}", 500), completion(POND)) as talker:
        at(talker.url, time, requests_per_minute=1).ask(QUESTION)
    assert time.slept == [1.0, 59.0]
    assert len(talker.asked) == 2


def test_a_cache_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "replies.sqlite").write_text("surely not a database, but long enough to tell")
    config = OnlineConfig(base_url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(OutputUnwritableError, match=r"replies\.sqlite cannot be used"):
        OnlineClient(config, tmp_path)

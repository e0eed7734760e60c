"""The review: verdicts, agreement, what enters, and the page by keys in a real browser."""

import http.client
import json
import math
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import suites

from unigeoseg.errors import DataError, OptionError
from unigeoseg.evaluate.open_bench.review.server import HOST, ReviewPass, bind_review_server
from unigeoseg.evaluate.open_bench.review.verdicts import (
    REASONS,
    Verdict,
    VerdictStore,
    accepted_samples,
    cohen_kappa,
    reviewer_agreement,
)


@pytest.fixture
def review(tmp_path: Path) -> ReviewPass:
    folder = suites.write_suite(tmp_path / "suite")
    return ReviewPass(suites.opened(folder), VerdictStore(tmp_path / "verdicts.sqlite"), "first")


@contextmanager
def serving(review: ReviewPass) -> Iterator[tuple[str, int]]:
    server = bind_review_server(review, 0, lambda url: None)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/", server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked(port: int, method: str, path: str, body: object = None, **headers: str):
    connection = http.client.HTTPConnection(HOST, port)
    sent = None if body is None else json.dumps(body)
    kind = {"Content-Type": "application/json"} if sent else {}
    connection.request(method, path, sent, kind | headers)
    reply = connection.getresponse()
    content = reply.status, reply.read()
    connection.close()
    return content


def test_kappa_by_hand():
    # 20 of 50 both yes, 15 both no: 0.7 agree, 0.5 by chance
    pairs = [("a", "a")] * 20 + [("a", "r")] * 5 + [("r", "a")] * 10 + [("r", "r")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([("a", "a"), ("r", "r")]) == 1
    assert math.isnan(cohen_kappa([("a", "a")])) and math.isnan(cohen_kappa([]))


def test_agreement_counts_what_both_judged(tmp_path):
    kept = VerdictStore(tmp_path / "v.sqlite")
    for who in ("one", "two"):
        kept.put(Verdict("a", who, "accept"))
        kept.put(Verdict("b", who, "reject", REASONS[0]))
    kept.put(Verdict("c", "one", "accept"))
    kept.put(Verdict("d", "one", "accept"))
    kept.put(Verdict("d", "two", "reject", "blurred"))
    found = reviewer_agreement(VerdictStore(tmp_path / "v.sqlite").all())
    assert (found.shared, found.agreed) == (3, 2)
    assert found.reasons == {REASONS[0]: 2, "blurred": 1}
    assert found.kappa == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))
    with pytest.raises(DataError, match="two reviewers"):
        reviewer_agreement([Verdict("a", "one", "accept")])


@pytest.mark.parametrize(
    "parts", [("", "x", "accept"), ("a", " ", "accept"), ("a", "x", "maybe"), ("a", "x", "reject")]
)
def test_verdicts_of_no_use(parts):
    with pytest.raises(OptionError):
        Verdict(*parts)


def test_only_what_two_accept_in_the_same_words_enters(review):
    names = list(review.samples)
    phrases = [name for name in names if review.samples[name].prompt.text == "the bright roof"]
    said = [
        *(Verdict(names[0], who, "accept") for who in ("one", "two")),
        Verdict(names[1], "one", "accept"),
        Verdict(names[2], "one", "accept"),
        Verdict(names[2], "two", "reject", REASONS[0]),
    ]
    found = list(accepted_samples(review.samples.values(), said))
    assert [each.id for each in found] == [names[0]]
    better = [Verdict(phrases[0], who, "accept", text="the white roof") for who in ("one", "two")]
    (fixed,) = accepted_samples(review.samples.values(), better)
    assert fixed.prompt.text == "the white roof" and fixed.id != phrases[0]
    torn = [better[0], Verdict(phrases[0], "two", "accept")]
    assert not list(accepted_samples(review.samples.values(), torn))


def test_the_server_takes_verdicts_of_the_page_alone(review):
    name = next(iter(review.samples))
    good = {"sample": name, "judgement": "reject", "reason": REASONS[1]}
    with serving(review) as (_, port):
        assert asked(port, "GET", "/")[0] == 200
        state = json.loads(asked(port, "GET", "/state")[1])
        assert len(state["samples"]) == 16 and "rle" not in str(state)
        plain, drawn = (asked(port, "GET", f"/{how}/{name}")[1] for how in ("plain", "outlined"))
        assert plain != drawn and drawn.startswith(b"\x89PNG")
        assert asked(port, "GET", "/outlined/../../secret")[0] == 404
        assert asked(port, "GET", "/state", Host="evil.example")[0] == 403
        assert asked(port, "POST", "/verdict", good, **{"Content-Type": "text/plain"})[0] == 403
        assert asked(port, "POST", "/verdict", good, Host="evil.example")[0] == 403
        assert asked(port, "POST", "/verdict", good | {"sample": "none"})[0] == 400
        assert asked(port, "POST", "/verdict", [1])[0] == 400
        assert asked(port, "POST", "/verdict", {"x": "y" * 70000})[0] == 413
        assert not review.verdicts.all()
        assert asked(port, "POST", "/verdict", good)[0] == 200
    assert review.verdicts.all() == [Verdict(name, "first", "reject", REASONS[1])]


@pytest.mark.slow
def test_a_pass_by_keys_in_a_browser(review):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    names = list(review.samples)
    with serving(review) as (url, _), playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        count = page.locator("#count")
        expect = playwright.expect
        expect(count).to_contain_text("0 of 16 judged, this is 1")
        page.wait_for_function("document.getElementById('picture').naturalWidth == 64")
        page.keyboard.press("a")
        expect(count).to_contain_text("1 of 16 judged, this is 2")
        page.keyboard.press("r")
        page.keyboard.press("2")
        expect(count).to_contain_text("2 of 16 judged, this is 3")
        page.keyboard.press("r")
        page.locator("#other").fill("it is blurred")
        page.keyboard.press("Enter")
        expect(count).to_contain_text("3 of 16 judged, this is 4")
        page.keyboard.press("o")
        expect(page.locator("#picture")).to_have_attribute("src", f"/plain/{names[3]}")
        fixable = [review.samples[name].prompt.text != "" for name in names].index(True, 3)
        for _ in range(fixable - 3):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("e")
        page.locator("#better").fill("<b>the dry place</b>")
        page.keyboard.press("Enter")
        page.keyboard.press("a")
        expect(count).to_contain_text("4 of 16 judged")
        page.reload()
        expect(count).to_contain_text("4 of 16 judged")
        page.keyboard.press("ArrowLeft")
        browser.close()
    assert not problems
    given = review.verdicts.of("first")
    assert given[names[0]].judgement == "accept"
    assert given[names[1]].reason == REASONS[1] and given[names[2]].reason == "it is blurred"
    assert given[names[fixable]].text == "<b>the dry place</b>"

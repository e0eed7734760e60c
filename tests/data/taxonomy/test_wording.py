"""Names in many spellings, words in many forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.data.taxonomy.wording import find_leak, normal_form, stem

RELATIVES = (
    "irrigated irrigation irrigate irrigating",
    "storage store stored storing",
    "farm farmer farmers farming",
    "swim swimming swimmer",
    "agriculture agricultural",
    "industry industries industrial",
    "residence residential residents",
    "excavator excavation excavated excavate",
    "forest forester forestry forests",
    "mine mining miner mines",
    "building builder built",
    "fish fishing fishery",
    "bus buses",
    "plane planes",
    "grass grassy grasses",
)


@pytest.mark.parametrize("words", RELATIVES)
def test_relatives_share_a_stem(words):
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize(
    "words",
    ["car care carry", "plane plan", "bus busy", "lake like", "water wait", "river drive"],
)
def test_strangers_do_not(words):
    assert len({stem(word) for word in words.split()}) == len(words.split())


@pytest.mark.parametrize(
    "same",
    [
        "storage tank|Storage-Tanks|storage_tank|storagetank|STORAGE  TANK",
        "house|houses|House",
        "bus|buses",
        "glass|glasses",
        "beach|beaches",
        "Boeing737|boeing 737|Boeing-737",
        "snow/ice|snow or ice",
        "lorry|lorries",
    ],
)
def test_one_form_for_all_spellings(same):
    assert len({normal_form(name) for name in same.split("|")}) == 1


@given(st.text())
def test_a_normal_form_is_plain(name):
    form = normal_form(name)
    assert form == "" or (form.isascii() and form.isalnum() and form == form.lower())


TRACK = ("ground track field", "running track")


@pytest.mark.parametrize(
    ("text", "names", "word"),
    [
        ("Where is the Track?", TRACK, "track"),
        ("Where would a runner start?", TRACK, "runner"),
        ("the field on level ground", TRACK, None),
        ("a groundtrackfield", TRACK, "groundtrackfield"),
        ("a ground-track-field", TRACK, "track"),
        ("the open ground", ("open ground",), "open ground"),
        ("the openground", ("open ground",), "openground"),
        ("the ground is open", ("open ground",), None),
        ("the waterway", ("water",), "waterway"),
        ("fresh rainwater", ("water",), "rainwater"),
        ("two sailboats", ("motorboat",), "sailboats"),
        ("where farms lie", ("farmland",), "farms"),
        ("a 747 lands", ("747",), "747"),
        ("a 737 lands", ("boeing 747",), None),
        ("is it an A-220?", ("A220",), "a 220"),
        ("the play ground", ("playground",), "play ground"),
        ("low plants", ("plant", "low"), None),
        ("made by BOEING", ("boeing 747",), "boeing"),
        ("transport by air", ("port",), None),
        ("a scarce resource", ("car",), None),
        ("", ("water",), None),
        ("water", (), None),
    ],
)
def test_what_gives_a_name_away(text, names, word):
    assert find_leak(text, names) == word


def test_phrases_count_only_as_a_whole():
    phrases = ("flooded cereal basin",)
    assert find_leak("the flooded basin with a cereal", (), phrases) is None
    assert find_leak("each flooded cereal-basin here", (), phrases) == "flooded cereal basin"

"""Each suite's published layout, from tiny copies; the hub."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import hub_server
import numpy as np
import pytest
import suites

import sources
from unigeoseg.errors import DataError, HubUnreachableError, OptionError
from unigeoseg.evaluate.suites import dior
from unigeoseg.evaluate.suites.catalog import SUITES
from unigeoseg.evaluate.suites.opening import open_suite
from unigeoseg.prompt import Task

RED = (200, 40, 40)


@pytest.mark.parametrize("name", ["rrsis-d-test", "risbench"])
def test_texts_of_the_catalogue(tmp_path, name):
    expected = sources.BUILDERS[SUITES[name].source](tmp_path)
    layout = open_suite(name, tmp_path)
    found = list(layout.samples())
    assert [each.prompt.text for each in found] == list(expected.texts)
    assert all(each.mask().any() and each.image == expected.key for each in found)
    assert layout.pixels(found[0].image).shape[:2] == found[0].mask().shape


def test_questions_of_the_split_alone(tmp_path):
    sources.earthreason(tmp_path)
    (tmp_path / "train").rename(tmp_path / "val")
    found = list(open_suite("earthreason-val", tmp_path).samples())
    assert [each.answer for each in found] == ["The beach."] * 2
    assert {each.prompt.task for each in found} == {Task.REASONING}
    with pytest.raises(DataError, match="no image in its split 'test'"):
        list(open_suite("earthreason-test", tmp_path).samples())


def test_what_a_catalogue_suite_lacks_is_counted(tmp_path):
    sources.risbench(tmp_path)
    (tmp_path / "mask" / "00001.png").unlink()
    with pytest.raises(DataError, match="not whole: missing_label 1"):
        list(open_suite("risbench", tmp_path).samples())


def write_samrs(folder: Path, images: int) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "gray").mkdir()
    for number in range(images):
        codes = np.full((40, 60), 255, np.uint8)
        codes[5:25, 10 : 20 + number] = 15
        codes[30, 30] = 3  # a speck
        cv2.imwrite(str(folder / "gray" / f"{number:05}.png"), codes)
        cv2.imwrite(str(folder / "images" / f"{number:05}.jpg"), np.zeros((40, 60, 3), np.uint8))
    return folder


def test_sior_is_half_points_and_half_boxes(tmp_path):
    write_samrs(tmp_path, 12)
    layout = dior.SamrsLayout(replace(SUITES["sior"], samples=10), tmp_path)
    found = list(layout.samples())
    assert Counter(each.family for each in found) == {"point": 5, "box": 5}
    assert found == list(layout.samples()) and len({each.image for each in found}) == 10
    for each in found:
        assert each.category == "storage tank"
        (point, *_) = each.prompt.points or (None,)
        assert point is None or each.mask()[int(point.y), int(point.x)]
    assert layout.pixels(found[0].image).shape == (40, 60, 3)
    with pytest.raises(DataError, match="gives 12 regions, the protocol draws 4000"):
        list(open_suite("sior", tmp_path).samples())


_OBJECT = """<object><name>ship</name><description>{said}</description><bndbox><xmin>{x}</xmin>
<ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object>"""


def write_rsvg(folder: Path) -> Path:
    (folder / "Annotations").mkdir()
    (folder / "JPEGImages").mkdir()
    for number in (1, 2):
        objects = "".join(_OBJECT.format(said=f"ship {number} {x}", x=x) for x in (4, 8))
        text = (
            f"<annotation><filename>0000{number}.jpg</filename><size><width>60</width>"
            f"<height>40</height></size>{objects}</annotation>"
        )
        (folder / "Annotations" / f"0000{number}.xml").write_text(text)
    (folder / "test.txt").write_text("1\n2\n")
    return folder


def test_dior_rsvg_numbers_the_objects_of_all_files(tmp_path):
    layout = open_suite("dior-rsvg", write_rsvg(tmp_path))
    found = list(layout.samples())
    assert layout.suite.boxes
    assert [each.prompt.text for each in found] == ["ship 1 8", "ship 2 4"]
    assert found[0].mask().sum() == 22 * 18 and found[1].image == "JPEGImages/00002.jpg"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("test.txt", "1 9", "names object 9, Annotations have 4"),
        ("test.txt", "one", "something else than numbers"),
        ("Annotations/00001.xml", "<annotation><object/></annotation>", "without its numbers"),
        ("Annotations/00001.xml", "<annot", "not valid XML"),
    ],
)
def test_dior_rsvg_that_is_damaged(tmp_path, name, content, said):
    write_rsvg(tmp_path)
    (tmp_path / "test.txt").write_text("0 3")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        list(open_suite("dior-rsvg", tmp_path).samples())


def test_geoseg_bench_comes_from_the_hub_once(hub, tmp_path, monkeypatch):
    folder = suites.write_suite(tmp_path / "suite", images=2)
    hub.path = "datasets/nishuo1999/GeoSeg-Bench"
    hub.files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    layout = open_suite("geoseg-bench")
    found = list(layout.samples())
    assert [each.id for each in found] == [each.id for each in suites.opened(folder).samples()]
    assert layout.pixels(found[0].image).shape == (suites.HEIGHT, suites.WIDTH, 3)
    sent = len(hub.gets)
    assert list(open_suite("geoseg-bench").samples()) == found and len(hub.gets) == sent
    hub.status = 500
    assert len(list(open_suite("geoseg-bench").samples())) == len(found)


def test_without_a_hub_it_says_so(hub):
    hub.status = 500
    with pytest.raises(HubUnreachableError):
        open_suite("geoseg-bench")
    assert isinstance(hub, hub_server.Hub)


def test_names_that_mean_nothing(tmp_path):
    with pytest.raises(OptionError, match="is no suite"):
        open_suite("nowhere")
    with pytest.raises(OptionError, match="is no suite"):
        open_suite("nowhere", tmp_path)
    with pytest.raises(OptionError, match="--data"):
        open_suite("refsegrs")
    assert all(each.protocol for each in SUITES.values())

"""Own data: a labelled set with nothing but meta.json, and each kind of source.json."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import sets
from places import DOCS

import sources
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.annotated import AnnotatedImage
from unigeoseg.data.sources.catalog import catalog_markdown
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.sources.readers.declared import parse_gsd
from unigeoseg.errors import DataError

DOCUMENT = DOCS / "sources.md"


def declare(root: Path, **keys: object) -> None:
    sources.text(root / "source.json", json.dumps({"licence": "CC0"} | keys))


def read_first(root: Path) -> tuple[AnnotatedImage, list[Rejection]]:
    rejected: list[Rejection] = []
    opened = open_labelled_source(declared_source(root), root, rejected.append)
    return opened.read(opened.items[0], rejected.append), rejected


def test_a_labelled_set_needs_nothing_but_meta(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=2)
    image, rejected = read_first(root)
    assert not rejected
    assert (image.source, image.key, image.group) == ("roofs", "images/0.jpg", "roofs/0")
    assert image.licence == "made by the tests"
    assert image.labelled == {25, 5}
    assert (image.classes[:4] == 65535).all() and (image.classes[112:] == 5).all()
    assert (image.classes == 25).sum() == sum(
        (x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in sets.ROOFS
    )


def write_meta(root: Path, **keys: object) -> None:
    path = root / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_objects_of_a_labelled_set_agree_with_its_mask(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=1)
    square = [11, 9, 28, 9, 28, 22, 11, 22]  # two pixels inside of the first roof
    hidden = [90, 4, 100, 4, 100, 9, 90, 9]  # where the mask has nothing
    inner = [15, 12, 20, 12, 20, 18, 15, 18]
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": [ring]}
        for n, ring in enumerate((square, hidden, inner))
    ]
    boxes = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [70, 60, 40, 40]}]
    head = {
        "images": [{"id": 1, "file_name": "0.jpg"}],
        "categories": [{"id": 1, "name": "building"}],
    }
    (root / "masks/instances.json").write_text(json.dumps(head | {"annotations": annotations}))
    (root / "masks/boxes.json").write_text(json.dumps(head | {"annotations": boxes}))
    image, rejected = read_first(root)
    first, second = image.objects
    assert (first.x, first.y, first.mask.shape) == (10, 8, (16, 20))  # the mask's own outline
    assert int(first.mask.sum()) == 16 * 20 - 30 and int(second.mask.sum()) == 30
    assert [r.rule for r in rejected] == ["outside_image"]
    np.testing.assert_array_equal(image.boxes[0].corners[2], (110, 100))


RULES = {
    "the file itself": ["0", "1", "2"],
    "all images form one group: copies of each other": [""],
    "source scene: first 1 characters": ["0", "1", "2"],
    "pattern: .": ["0", "1", "2"],
    "source scene: prefix X": ["0", "1", "2"],
}


@pytest.mark.parametrize("rule", RULES)
def test_group_rules(rule: str, tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=3)
    write_meta(root, group_rule=rule, gsd="about 0.5 m (seen from space), per README")
    opened = open_labelled_source(declared_source(root), root, pytest.fail)
    groups = sorted({item.group for item in opened.items})
    assert groups == RULES[rule]
    assert opened.source.gsd_m == 0.5


def test_resolutions_in_words():
    assert [
        parse_gsd(resolution) for resolution in (0.3, "0.2 m", "about 0.5 m (Pleiades), per README")
    ] == [
        0.3,
        0.2,
        0.5,
    ]
    vague = ("not stated", "0.5-2 m (715 images)", "0.5 m, 1 m or 3 m (SAR)", None, -1, True)
    assert [parse_gsd(resolution) for resolution in vague] == [None] * 6


META = {
    "no classes": ({"classes": {}}, 'lacks "classes"'),
    "no licence": ({"licence": ""}, 'lacks "licence"'),
    "a list": ({"classes": ["roof"]}, '"classes" is'),
    "a rule": ({"group_rule": "by town"}, "the group rule 'by town' is not known"),
    "a pattern": ({"group_rule": "pattern: ("}, "is no regular expression"),
    "ignore": ({"ignore_id": "255"}, '"ignore_id" is'),
}


@pytest.mark.parametrize("kind", META)
def test_a_wrong_meta_is_named(kind: str, tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=1)
    keys, message = META[kind]
    write_meta(root, **keys)
    with pytest.raises(DataError, match=re.escape(message)):
        declared_source(root)


def test_a_class_that_nobody_knows_is_unknown_and_noted_once(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=2)
    write_meta(root, classes={"0": "background", "1": "gravel heap", "2": "water"})
    rejected: list[Rejection] = []
    opened = open_labelled_source(declared_source(root), root, rejected.append)
    images = [opened.read(item, rejected.append) for item in opened.items]
    assert [r.rule for r in rejected] == ["unknown_class"]
    assert (images[0].classes[8:24, 10:30] == 65535).all()
    assert images[0].labelled == {5}


def test_masks(tmp_path: Path):
    sources.image(tmp_path / "train/a_1.png")
    sources.image(tmp_path / "labels/a_1_mask.png", sources.coded((255, 0, 0), (0, 0, 0)))
    declare(
        tmp_path,
        reader="masks",
        images="{split}/{scene}_{number}.png",
        labels="labels/{scene}_{number}_mask.png",
        group="{scene}",
        classes={"#ff0000": "my roofs -> building", "#000000": "nothing"},
        gsd_m=0.5,
    )
    image, rejected = read_first(tmp_path)
    assert not rejected
    assert (image.split, image.group, image.gsd_m) == ("train", f"{tmp_path.name}/a", 0.5)
    assert set(np.unique(image.classes)) == {0, 25}


def test_lossy_masks_are_read_if_declared(tmp_path: Path):
    sources.image(tmp_path / "images/1.jpg")
    sources.image(tmp_path / "masks/1.jpg", sources.coded(255, 0))
    keys = {"images": "images/{n}.jpg", "labels": "masks/{n}.jpg", "reader": "masks"}
    declare(tmp_path, **keys, classes={"0": "nothing", "255": "road"})
    assert [r.rule for r in read_first(tmp_path)[1]] == ["lossy_mask"]
    declare(tmp_path, **keys, lossy=True, classes={"0": "nothing", "255": "road"})
    image, _ = read_first(tmp_path)
    assert (image.classes[15:25, 12:20] == 9).all()


def test_coco(tmp_path: Path):
    sources.isaid(tmp_path)
    declare(
        tmp_path,
        reader="coco",
        index=[
            {"file": "train/Annotations/iSAID_train.json", "images": "train/images", "split": "val"}
        ],
    )
    image, rejected = read_first(tmp_path)
    assert not rejected
    assert [item.category for item in image.objects] == [65, 64]
    assert (image.split, image.labelled) == ("val", {64, 65})


def test_yolo_upright_and_rotated(tmp_path: Path):
    sources.image(tmp_path / "images/train/1.jpg")
    sources.image(tmp_path / "images/train/2.jpg")
    lines = "0 0.5 0.5 0.25 0.5\n1 0 0 0.5 0 0.5 0.5 0 0.5\n7 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n"
    sources.text(tmp_path / "labels/train/1.txt", lines)
    declare(
        tmp_path,
        reader="yolo",
        images="images/{split}/{stem}.{ext}",
        labels="labels/{split}/{stem}.txt",
        classes={"0": "car", "1": "ship"},
    )
    image, rejected = read_first(tmp_path)
    assert [box.category for box in image.boxes] == [63, 69]
    np.testing.assert_allclose(image.boxes[0].corners[[0, 2]], [(24, 12), (40, 36)])
    np.testing.assert_allclose(image.boxes[1].corners[2], (32, 24))
    assert [r.rule for r in rejected] == ["unknown_id", "box_extent"]
    opened = open_labelled_source(declared_source(tmp_path), tmp_path, pytest.fail)
    assert opened.read(opened.items[1], pytest.fail).boxes == ()  # no file, no box


def polygon(x0: float, y0: float, x1: float, y1: float) -> dict:
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_geojson_in_degrees_and_in_a_crs(tmp_path: Path):
    from unigeoseg.geo.grid import WGS84, parse_crs, transformer

    sources.tiff(tmp_path / "a.tif", sources.many_bands(3), epsg=32633)
    to_degrees = transformer(parse_crs("EPSG:32633"), WGS84)
    x0, y0 = to_degrees.transform(500008, 3999970)
    x1, y1 = to_degrees.transform(500028, 3999990)
    features = [
        {"properties": {"kind": "house"}, "geometry": polygon(x0, y0, x1, y1)},
        {"properties": {"kind": "house"}, "geometry": polygon(10, 10, 11, 11)},
        {"properties": {"kind": "house"}, "geometry": None},
        {"properties": {}, "geometry": polygon(x0, y0, x1, y1)},
        {"properties": None, "geometry": polygon(x0, y0, x1, y1)},
        None,
        {"properties": {"kind": "house"}, "geometry": {"type": "Point", "coordinates": [x0, y0]}},
    ]
    declare(
        tmp_path,
        reader="geojson",
        images="{stem}.tif",
        labels="{stem}.geojson",
        attribute="kind",
        classes={"house": "building"},
    )
    sources.text(tmp_path / "a.geojson", json.dumps({"features": features}))
    image, rejected = read_first(tmp_path)
    (item,) = image.objects
    assert (item.category, item.x, item.y) == (25, 8, 10)
    assert item.mask.shape == (20, 20) and item.mask.all()
    assert [r.rule for r in rejected] == ["outside_image"] + ["broken_label"] * 5
    assert [r.detail for r in rejected[1:5]] == [
        "feature 3: it has no geometry, expected a polygon",
        "feature 4: it has no property 'kind'",
        "feature 5: it has no property 'kind'",
        "feature 6: it is None, expected an object",
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    flat = [
        {"properties": {"kind": "house"}, "geometry": polygon(500050, 3999990, 500090, 4000000)}
    ]
    sources.text(tmp_path / "a.geojson", json.dumps({"crs": crs, "features": flat}))
    (item,) = read_first(tmp_path)[0].objects
    assert (item.x, item.y, item.mask.shape) == (50, 0, (10, 14))  # cut at the edge


@pytest.mark.parametrize("content", ["[]", "{", '{"features": 3}', '{"crs": 3, "features": []}'])
def test_broken_geojson_skips_its_image(content: str, tmp_path: Path):
    sources.tiff(tmp_path / "a.tif", sources.many_bands(3), epsg=32633)
    sources.text(tmp_path / "a.geojson", content)
    declare(tmp_path, reader="geojson", images="{stem}.tif", labels="{stem}.geojson")
    image, rejected = read_first(tmp_path)
    assert image is None and [r.rule for r in rejected] == ["broken_label"]


GOOD = {"reader": "masks", "images": "i/{stem}.png", "labels": "m/{stem}.png"}
WRONG = {
    "unknown key": ({"colour": 3}, "source.json: unknown fields colour; known are reader, lic"),
    "type": ({"gsd_m": "0.5"}, "source.json: gsd_m: '0.5' is str, expected float"),
    "truth": ({"gsd_m": True}, "source.json: gsd_m: True is bool, expected float"),
    "negative": ({"gsd_m": -1}, "above 0"),
    "reader": ({"reader": "hdf5"}, "the reader 'hdf5' is not known"),
    "no labels": ({"labels": []}, 'lacks "labels"'),
    "no template": ({"labels": ["m/{stem}.png", ""]}, "a template is empty"),
    "no text": ({"images": [3]}, "source.json: images[0]: 3 is int, expected str"),
    "no split list": ({"splits": {"val": "val.txt"}}, "expected a file there"),
    "no licence": ({"licence": ""}, 'lacks "licence"'),
    "other word": ({"labels": "m/{name}.png"}, "uses {name}"),
    "bands": ({"bands": [1, 2]}, '"bands" is [1, 2]'),
    "class": ({"classes": {"1": 3}}, "source.json: classes['1']: 3 is int, expected str"),
    "id": ({"classes": {"70000": "road"}}, "70000 is no class code"),
    "index": ({"reader": "coco"}, 'lacks "index"'),
    "index type": ({"reader": "coco", "index": 3}, "source.json: index: 3 is int, expected a list"),
    "entry": ({"reader": "coco", "index": [{"images": "i"}]}, "index[0].file: 'file' is missing"),
    "empty entry": ({"reader": "coco", "index": ""}, 'index[0]: "file" is empty'),
    "entry key": (
        {"reader": "coco", "index": [{"file": "i", "x": "y"}]},
        "index[0]: unknown fields x; known are file, images",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_declaration_is_named(kind: str, tmp_path: Path):
    keys, message = WRONG[kind]
    declare(tmp_path, **(GOOD | keys))
    sources.image(tmp_path / "i/1.png")
    with pytest.raises(DataError, match=re.escape(message)):
        read_first(tmp_path)


def test_a_folder_that_says_nothing_is_an_error_with_advice(tmp_path: Path):
    with pytest.raises(DataError, match=r"neither source\.json nor meta\.json"):
        declared_source(tmp_path)
    sources.text(tmp_path / "source.json", "[]")
    with pytest.raises(DataError, match="holds list; expected an object"):
        declared_source(tmp_path)
    sources.text(tmp_path / "source.json", "{")
    with pytest.raises(DataError, match="not valid JSON"):
        declared_source(tmp_path)
    declare(tmp_path, **(GOOD | {"images": "../{stem}.png"}))
    with pytest.raises(DataError, match="holds no image"):
        read_first(tmp_path)
    declare(tmp_path, **(GOOD | {"labels": "../../{stem}.png"}))
    sources.image(tmp_path / "i/1.png")
    with pytest.raises(DataError, match="leads out of"):
        read_first(tmp_path)


def test_the_examples_of_the_document_are_valid(tmp_path: Path):
    examples = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 6
    for number, example in enumerate(examples):
        sources.text(tmp_path / str(number) / "source.json", example)
        assert declared_source(tmp_path / str(number)).class_table().unmatched == ()


def test_the_document_has_the_catalogue_as_it_is():
    assert DOCUMENT.read_text(encoding="utf-8").endswith(f"-->\n\n{catalog_markdown()}"), (
        "run: python tools/sources.py"
    )

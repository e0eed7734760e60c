"""What is damaged, hostile or undeclared: noted with its reason, and the run goes on."""

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from reads import Read, read_all, rules

import sources
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.sources.readers import open_labelled_source
from unigeoseg.data.sources.readers.images import MAX_PIXELS
from unigeoseg.data.sources.readers.refs import load_refs
from unigeoseg.errors import DataError


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has that many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


IMAGE = "Train/Rural/images_png/0.png"
MASK = "Train/Rural/masks_png/0.png"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no mask": ("missing_label", lambda root: (root / MASK).unlink()),
    "empty mask file": ("unreadable_image", lambda root: (root / MASK).write_bytes(b"")),
    "cut mask": ("unreadable_image", lambda root: cut(root / MASK)),
    "cut image": ("unreadable_image", lambda root: cut(root / IMAGE)),
    "empty image": ("unreadable_image", lambda root: (root / IMAGE).write_bytes(b"")),
    "no image at all": ("unreadable_image", lambda root: (root / IMAGE).write_text("<html>")),
    "other size": (
        "label_size",
        lambda root: sources.image(root / MASK, np.ones((9, 9), np.uint8)),
    ),
    "JPEG as mask": (
        "lossy_mask",
        lambda root: (root / MASK).write_bytes(
            cv2.imencode(".jpg", sources.coded(2, 1))[1].tobytes()
        ),
    ),
    "colours for ids": (
        "broken_label",
        lambda root: sources.image(root / MASK, sources.coded((1, 2, 3), (0, 0, 0))),
    ),
    "a strip": ("image_size", lambda root: (root / IMAGE).write_bytes(png_of(1_000_000, 1))),
    "a bomb": ("image_size", lambda root: (root / IMAGE).write_bytes(png_of(60_000, 60_000))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_image_is_noted_and_the_next_one_read(damage: str, tmp_path: Path):
    sources.loveda(tmp_path)
    rule, harm = DAMAGE[damage]
    harm(tmp_path)
    (first, second), rejected = read_all("loveda", tmp_path)
    assert first is None and second is not None
    assert [(r.stage, r.rule, r.source, r.key) for r in rejected] == [
        ("read", rule, "loveda", IMAGE)
    ]
    assert rejected[0].detail and "\n" not in rejected[0].detail


def test_too_many_pixels_are_refused_with_the_limit(tmp_path: Path):
    sources.loveda(tmp_path)
    (tmp_path / IMAGE).write_bytes(png_of(60_000, 60_000))
    _, rejected = read_all("loveda", tmp_path)
    assert (rejected[0].value, rejected[0].limit) == (3.6e9, MAX_PIXELS)
    assert "cut it into tiles" in rejected[0].detail


def test_a_cut_jpeg_is_not_filled_with_grey(tmp_path: Path):
    sources.globe230k(tmp_path)
    path = tmp_path / "patch_image/000001.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    images, rejected = read_all("globe230k", tmp_path)
    assert images == [None] and rules(rejected) == ["unreadable_image"]


def test_a_scene_without_a_valid_pixel_is_noted(tmp_path: Path):
    sources.chesapeake(tmp_path)
    path = next(tmp_path.rglob("*naip-new.tif"))
    sources.tiff(path, np.full((4, 48, 64), np.nan, np.float32), epsg=26918)
    assert rules(read_all("chesapeake", tmp_path)[1]) == ["empty_image"]


def test_foreign_ids_are_unknown_and_counted(tmp_path: Path):
    sources.loveda(tmp_path)
    mask = sources.coded(200, 1)
    mask[0, :5] = 99
    sources.image(tmp_path / MASK, mask)
    (image, _), rejected = read_all("loveda", tmp_path)
    assert (image.classes[sources.PATCH] == 65535).all() and image.classes[-1, -1] == 0
    assert rules(rejected) == ["unknown_id"]
    assert "2 ids without a class, first 99, 200" in rejected[0].detail
    assert (rejected[0].value, rejected[0].limit) == (405, 0)


def test_foreign_colours_are_unknown_and_counted_with_no_tolerance(tmp_path: Path):
    sources.potsdam(tmp_path)
    path = tmp_path / "5_Labels_all/top_potsdam_2_13_label.tif"
    sources.image(path, sources.coded((255, 254, 0), (255, 0, 0)))
    (image,), rejected = read_all("potsdam", tmp_path)
    assert (image.classes[sources.PATCH] == 65535).all()
    assert "1 colours without a class, first #fffe00" in rejected[0].detail
    assert rejected[0].value == 400
    sources.image(path, sources.coded((1, 2, 3), (4, 5, 6)))
    assert rules(read_all("potsdam", tmp_path)[1]) == ["unknown_colour"] * 2


def test_pixels_without_data_are_unknown(tmp_path: Path):
    sources.chesapeake(tmp_path)
    path = next(tmp_path.rglob("*naip-new.tif"))
    bands = sources.many_bands(4).astype(np.float32)
    bands[:, :20, :20] = np.nan
    sources.tiff(path, bands, epsg=26918)
    sources.tiff(next(tmp_path.rglob("*_lc.tif")), sources.coded(1, 1)[None], epsg=26918)
    (image,), _ = read_all("chesapeake", tmp_path)
    assert (image.classes[:20, :20] == 65535).all() and (image.classes[20:] == 5).all()


BOX_LINES = {
    "outside": ("outside_image", "100 100 120 100 120 120 100 120 ship 0"),
    "no extent": ("box_extent", "5 5 5 5 5 5 5 5 ship 0"),
    "text": ("broken_label", "5 5 x 5 9 9 5 9 ship 0"),
    "short": ("broken_label", "1 2 3"),
    "far": ("broken_label", "1e300 5 9 5 9 9 5 -1e300 ship 0"),
    "not finite": ("broken_label", "nan 5 9 5 9 9 5 9 ship 0"),
    "class": ("unknown_class", "5 5 9 5 9 9 5 9 flying-saucer 0"),
}


@pytest.mark.parametrize("kind", BOX_LINES)
def test_a_bad_box_is_noted_and_the_others_stay(kind: str, tmp_path: Path):
    sources.dota(tmp_path)
    rule, line = BOX_LINES[kind]
    path = tmp_path / "train/labelTxt-v1.0/labelTxt/P0000.txt"
    path.write_text(f"{path.read_text()}\n{line}\n{line}")
    (image,), rejected = read_all("dota", tmp_path)
    assert [box.category for box in image.boxes] == [68, 73]
    assert rules(rejected) == [rule] * (1 if kind == "class" else 2)


def test_an_upright_box_is_cut_at_the_edge(tmp_path: Path):
    sources.dior(tmp_path)
    path = next(tmp_path.rglob("*.xml"))
    path.write_text(path.read_text().replace("<xmax>30<", "<xmax>300<").replace(">4<", ">-4<"))
    (image,), rejected = read_all("dior", tmp_path)
    assert not rejected
    np.testing.assert_array_equal(image.boxes[0].corners, [(0, 6), (64, 6), (64, 40), (0, 40)])
    path.write_text(path.read_text().replace("<ymax>40<", "<ymax>2<"))
    (image,), rejected = read_all("dior", tmp_path)
    assert not image.boxes and rules(rejected) == ["box_extent"] * 2


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(10))
XML = {
    "cut": "<annotation><object><name>ship</na",
    "bomb": f"<!DOCTYPE x [{ENTITIES}]><annotation><name>&a9;</name></annotation>",
    "file": '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>',
    "empty": "",
}


@pytest.mark.parametrize("kind", XML)
def test_bad_xml_skips_its_image(kind: str, tmp_path: Path):
    sources.dior(tmp_path)
    next(tmp_path.rglob("*.xml")).write_text(XML[kind])
    images, rejected = read_all("dior", tmp_path)
    assert images == [None] and rules(rejected) == ["broken_label"]


def coco_of(root: Path, **annotation: object) -> Read:
    path = root / "train/Annotations/iSAID_train.json"
    content = json.loads(path.read_text())
    base = {"id": 9, "image_id": 3, "category_id": 1, "iscrowd": 0}
    content["annotations"] = [base | annotation]
    path.write_text(json.dumps(content))
    return read_all("isaid", root)


ANNOTATIONS = {
    "outside": ("outside_image", {"segmentation": [[100, 100, 120, 100, 120, 120]]}),
    "left of it": ("outside_image", {"segmentation": [[-50, 5, -20, 5, -20, 20]]}),
    "two points": ("broken_label", {"segmentation": [[1, 1, 5, 5]]}),
    "text": ("broken_label", {"segmentation": [["a"] * 6]}),
    "far": ("broken_label", {"segmentation": [[0, 0, 1e12, 0, 1e12, 1e12]]}),
    "five numbers for a size": (
        "broken_label",
        {"segmentation": {"size": [48, 64, 1, 1, 1], "counts": [3072]}},
    ),
    "no size": ("broken_label", {"segmentation": {"size": 48, "counts": [3072]}}),
    "a number too large": ("broken_label", {"segmentation": [[10**400] * 6]}),
    "a box too large": ("broken_label", {"bbox": [10**400, 1, 1, 1]}),
    "nested": ("broken_label", {"segmentation": [[[1, 2], [3, 4], [5, 6]]]}),
    "other size": ("broken_label", {"segmentation": {"size": [9, 9], "counts": [81]}}),
    "short runs": ("broken_label", {"segmentation": {"size": [48, 64], "counts": [5]}}),
    "bad runs": ("broken_label", {"segmentation": {"size": [48, 64], "counts": "~~~"}}),
    "neither": ("broken_label", {}),
    "crowd": ("crowd", {"segmentation": [sources.SQUARE], "iscrowd": 1}),
    "no category": ("unknown_id", {"segmentation": [sources.SQUARE], "category_id": 77}),
    "flat box": ("box_extent", {"bbox": [5, 5, 10, 0]}),
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_a_bad_annotation_is_noted(kind: str, tmp_path: Path):
    sources.isaid(tmp_path)
    rule, annotation = ANNOTATIONS[kind]
    (image,), rejected = coco_of(tmp_path, **annotation)
    assert not image.objects and not image.boxes
    assert rules(rejected) == [rule]


def test_names_are_plain_and_a_file_listed_twice_keeps_all(tmp_path: Path):
    sources.isaid(tmp_path)
    path = tmp_path / "train/Annotations/iSAID_train.json"
    content = json.loads(path.read_text())
    content["images"] = [{"id": n, "file_name": "./P0002.png"} for n in (3, 4)]
    content["annotations"][0]["image_id"] = 4
    path.write_text(json.dumps(content))
    (image,), rejected = read_all("isaid", tmp_path)
    assert len(image.objects) == 2 and not rejected


def test_a_polygon_is_cut_at_the_edge(tmp_path: Path):
    sources.isaid(tmp_path)
    (image,), rejected = coco_of(tmp_path, segmentation=[[50, 40, 90, 40, 90, 80, 50, 80]])
    assert not rejected
    (item,) = image.objects
    assert (item.x, item.y, item.mask.shape) == (50, 40, (8, 14)) and item.mask.all()


def test_a_broken_index_stops_its_source(tmp_path: Path):
    sources.isaid(tmp_path)
    path = tmp_path / "train/Annotations/iSAID_train.json"
    path.write_text('{"images": [')
    with pytest.raises(DataError, match="not valid JSON"):
        read_all("isaid", tmp_path)
    path.write_text('{"images": [{"id": 1}]}')
    with pytest.raises(DataError, match="is no COCO file"):
        read_all("isaid", tmp_path)
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "../../x.png"}]} | EMPTY))
    with pytest.raises(DataError, match="leads out of"):
        read_all("isaid", tmp_path)
    for name, message in {"a" * 300: "no file name", "\ud800": "Unicode|surrogate"}.items():
        path.write_text(json.dumps({"images": [{"id": 1, "file_name": name}]} | EMPTY))
        with pytest.raises(DataError, match=message):
            read_all("isaid", tmp_path)
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": 3}]} | EMPTY))
    with pytest.raises(DataError, match="is no COCO file"):
        read_all("isaid", tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"expected train/Annotations/iSAID_train\.json"):
        read_all("isaid", tmp_path)


EMPTY = {"categories": [], "annotations": []}


class Payload:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_of_anything_but_plain_values_is_refused(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    path, trace = tmp_path / "rrsisd/refs(unc).p", tmp_path / "trace"
    path.write_bytes(pickle.dumps([{"x": Payload(trace)}]))
    with pytest.raises(DataError, match="not a pickle of plain values"):
        read_all("rrsis-d", tmp_path)
    assert not trace.exists()
    for content in (b"", b"junk", pickle.dumps({"no": "list"}), pickle.dumps([np.float64(1)])):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"pickle of plain|does not hold a list"):
            load_refs(path)
    path.unlink()
    with pytest.raises(DataError, match=r"lacks rrsisd/refs\(unc\)\.p"):
        read_all("rrsis-d", tmp_path)


def test_strings_of_python_2_are_read(tmp_path: Path):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(b"(lp0\n(dp1\nS'raw'\np2\nS'caf\\xe9'\np3\nsa.")
    assert load_refs(path) == [{"raw": "café"}]


def test_a_broken_expression_is_noted(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    path = tmp_path / "rrsisd/refs(unc).p"
    refs = load_refs(path)
    refs = [refs[0], refs[0] | {"ann_id": 99}, refs[0] | {"sentences": [{"raw": "  "}]}]
    path.write_bytes(pickle.dumps(refs))
    (image,), rejected = read_all("rrsis-d", tmp_path)
    assert len(image.texts) == 2 and rules(rejected) == ["broken_label"] * 2


@pytest.mark.parametrize("content", ["[1", "[]", '{"questions": []}', '{"questions": [3]}'])
def test_broken_questions_skip_their_image(content: str, tmp_path: Path):
    sources.earthreason(tmp_path)
    (tmp_path / "train/QAs/beach_1.json").write_text(content)
    images, rejected = read_all("earthreason", tmp_path)
    assert images == [None] and rules(rejected) == ["broken_label"]


def test_an_empty_or_foreign_folder_says_what_was_expected(tmp_path: Path):
    for name, row in CATALOG.items():
        with pytest.raises(DataError, match=r"expected"):
            _ = open_labelled_source(name, tmp_path, pytest.fail).items
        with pytest.raises(DataError, match="not a directory"):
            open_labelled_source(replace(row), tmp_path / "no", pytest.fail)


def test_an_annotation_with_an_odd_id_is_no_target(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    path = tmp_path / "rrsisd/instances.json"
    path.write_text(path.read_text().replace('"id": 5', '"id": {}'))
    (image,), rejected = read_all("rrsis-d", tmp_path)
    assert not image.texts and rules(rejected) == ["broken_label"]

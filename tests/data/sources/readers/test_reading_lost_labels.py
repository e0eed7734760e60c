"""No label is lost without a word: paths in any spelling, strays, unknown classes."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import sets
from reads import read_all, rules

import sources
from unigeoseg.data.sources.readers.refs import load_refs
from unigeoseg.errors import DataError

INDEX = "train/Annotations/iSAID_train.json"


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def declare(root: Path, **keys: object) -> None:
    sources.text(root / "source.json", json.dumps({"licence": "CC0"} | keys))


@pytest.mark.parametrize(
    "folder", ["train/images", "./train/images/", "train\\images", "/train//images"]
)
@pytest.mark.parametrize("prefix", ["", "./", ".\\"])
def test_a_path_is_the_same_in_any_spelling(folder: str, prefix: str, tmp_path: Path):
    sources.isaid(tmp_path)
    edit(
        tmp_path / INDEX,
        lambda content: content["images"][0].update(file_name=f"{prefix}P0002.png"),
    )
    declare(tmp_path, reader="coco", index=INDEX, images=folder)
    (image,), rejected = read_all(None, tmp_path)
    assert not rejected
    assert (image.key, len(image.objects)) == ("train/images/P0002.png", 2)


@pytest.mark.parametrize("folder", ["", ".", "./"])
def test_file_names_may_hold_the_folders(folder: str, tmp_path: Path):
    sources.isaid(tmp_path)
    name = "train\\images\\P0002.png"
    edit(tmp_path / INDEX, lambda content: content["images"][0].update(file_name=name))
    declare(tmp_path, reader="coco", index=INDEX, images=folder)
    (image,), rejected = read_all(None, tmp_path)
    assert not rejected and len(image.objects) == 2


def test_one_index_over_two_folders_labels_both(tmp_path: Path):
    sources.isaid(tmp_path)
    sources.image(tmp_path / "more/P0002.png")
    entries = [{"file": INDEX, "images": folder} for folder in ("train/images", "more")]
    declare(tmp_path, reader="coco", index=entries)
    images, rejected = read_all(None, tmp_path)
    assert not rejected and [len(image.objects) for image in images] == [2, 2]


def test_annotations_of_images_that_are_not_listed_are_counted_for_each(tmp_path: Path):
    sources.isaid(tmp_path)
    extra = [{"id": n, "image_id": n // 8 + 98, "category_id": 1} for n in (7, 8, 9)]
    edit(tmp_path / INDEX, lambda content: content["annotations"].extend(extra))
    (image,), rejected = read_all("isaid", tmp_path)
    assert len(image.objects) == 2
    assert [(r.rule, r.value, r.limit) for r in rejected] == [
        ("missing_image", 1, 0),
        ("missing_image", 2, 0),
    ]
    assert f"{INDEX} has 2 annotations of image 99, which it does not" in rejected[1].detail


ODD = {
    "text": "word",
    "nothing": None,
    "number": 3,
    "list of an image": {"image_id": [1]},
    "none": {},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_entry_that_is_no_annotation_goes_alone(kind: str, tmp_path: Path):
    sources.isaid(tmp_path)
    edit(tmp_path / INDEX, lambda content: content["annotations"].insert(1, ODD[kind]))
    (image,), rejected = read_all("isaid", tmp_path)
    assert len(image.objects) == 2 and rules(rejected) == ["broken_label"]
    assert f"{INDEX}: annotation 2: it" in rejected[0].detail
    assert "expected" in rejected[0].detail and "Error" not in rejected[0].detail


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [
        ({"width": 65}, False),
        ({"height": 64, "width": 48}, False),
        ({"width": 0}, True),
        ({"height": None}, True),
        ({"width": "wide"}, True),
    ],
)
def test_an_index_that_says_another_size_loses_its_image(sizes: dict, fits: bool, tmp_path: Path):
    sources.isaid(tmp_path / "a")
    sources.rrsis_d(tmp_path / "b")
    for root, index in (("a", INDEX), ("b", "rrsisd/instances.json")):
        edit(tmp_path / root / index, lambda content: content["images"][0].update(sizes))
    for row, root in (("isaid", "a"), ("rrsis-d", "b")):
        (image,), rejected = read_all(row, tmp_path / root)
        assert (image is not None) == fits
        assert rules(rejected) == ([] if fits else ["label_size"])


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [("64", "48", True), ("48", "64", False), ("0", "0", True), ("", "49", True), ("x", "2", True)],
)
def test_a_voc_label_of_another_size_loses_its_image(width, height, fits, tmp_path: Path):
    sources.dior(tmp_path)
    path = next(tmp_path.rglob("*.xml"))
    size = f"<size><width>{width}</width><height>{height}</height></size><object>"
    path.write_text(path.read_text().replace("<object>", size, 1))
    (image,), rejected = read_all("dior", tmp_path)
    assert (image is not None) == fits
    assert rules(rejected) == ([] if fits else ["label_size"])


def coco(*names: str, **annotation: object) -> str:
    head = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": 1, "name": "building"}],
    }
    return json.dumps(
        head | {"annotations": [{"id": 1, "image_id": 0, "category_id": 1} | annotation]}
    )


BOX = {"bbox": [70, 60, 40, 40]}


def test_an_image_of_a_labelled_set_that_no_index_lists_is_refused(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=3)
    for path in (root / "masks").iterdir():
        path.unlink()
    sources.text(root / "masks/boxes.json", coco("0.jpg", "1.jpg", **BOX))
    (first, second, third), rejected = read_all(None, root)
    assert (len(first.boxes), second.boxes, third) == (1, (), None)
    assert [(r.rule, r.key) for r in rejected] == [("missing_label", "images/2.jpg")]


def test_an_image_with_a_mask_that_no_index_lists_is_noted_and_kept(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=2)
    sources.text(root / "masks/boxes.json", coco("0.jpg", **BOX))
    (first, second), rejected = read_all(None, root)
    assert len(first.boxes) == 1 and second.classes is not None
    assert [(r.rule, r.key) for r in rejected] == [("missing_entry", "images/1.jpg")]
    assert "masks/boxes.json has no entry" in rejected[0].detail


def test_each_image_that_a_labelled_set_lacks_is_noted_with_its_path(tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=1)
    sources.text(root / "masks/boxes.json", coco("0.jpg", "images/0.jpg", "9.jpg", **BOX))
    (image,), rejected = read_all(None, root)
    assert len(image.boxes) == 1
    assert [(r.rule, r.key, r.value) for r in rejected] == [
        ("missing_image", "images/9.jpg", 0),
        ("missing_image", "images/images/0.jpg", 0),
    ]
    assert rejected[0].detail == "masks/boxes.json lists it with 0 annotations"


def refs_of(root: Path, **keys: object) -> None:
    path = root / "rrsisd/refs(unc).p"
    refs = load_refs(path)
    path.write_bytes(pickle.dumps([*refs, refs[0] | keys]))


def test_expressions_of_images_that_are_not_listed_are_counted(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    refs_of(tmp_path, image_id=99)
    (image,), rejected = read_all("rrsis-d", tmp_path)
    assert len(image.texts) == 2
    assert [(r.rule, r.value) for r in rejected] == [("missing_image", 1)]


def test_an_expression_of_a_missing_annotation_is_noted(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    refs_of(tmp_path, ann_id=77)
    (image,), rejected = read_all("rrsis-d", tmp_path)
    assert len(image.texts) == 2
    assert [(r.rule, r.detail) for r in rejected] == [
        ("broken_label", "expression 1: the image has no annotation 77")
    ]


def test_an_image_listed_twice_keeps_the_expressions_of_both(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    name = "./00001.jpg"
    edit(
        tmp_path / "rrsisd/instances.json",
        lambda content: content["images"].append({"id": 4, "file_name": name}),
    )
    refs_of(tmp_path, image_id=4)
    (image,), rejected = read_all("rrsis-d", tmp_path)
    assert len(image.texts) == 4 and not rejected


def test_referring_sets_in_two_indexes_keep_their_own_expressions(tmp_path: Path):
    entries = []
    for part in ("a", "b"):
        sources.rrsis_d(tmp_path / part)
        keys = {"file": "rrsisd/instances.json", "images": "images/rrsisd/JPEGImages"}
        keys["refs"] = "rrsisd/refs(unc).p"
        entries.append({key: f"./{part}/{below}" for key, below in keys.items()})
    declare(tmp_path, reader="refer", index=entries)
    images, rejected = read_all(None, tmp_path)
    assert not rejected and [len(image.texts) for image in images] == [2, 2]


def test_objects_of_unknown_classes_are_counted_for_each_image(tmp_path: Path):
    sources.dota(tmp_path)
    first = tmp_path / "train/images/P0000.png"
    label = tmp_path / "train/labelTxt-v1.0/labelTxt/P0000.txt"
    saucer, yeti = "5 5 9 5 9 9 5 9 saucer 0\n", "5 5 9 5 9 9 5 9 yeti 0\n"
    for number, lines in enumerate((saucer * 2 + yeti, saucer)):
        first.with_name(f"P000{number}.png").write_bytes(first.read_bytes())
        label.with_name(f"P000{number}.txt").write_text(lines)
    _, rejected = read_all("dota", tmp_path)
    assert [(r.rule, r.key[-9:], r.value) for r in rejected] == [
        ("unknown_class", "P0000.png", 2),
        ("unknown_class", "P0000.png", 1),
        ("unknown_class", "P0001.png", 1),
    ]
    assert "2 objects of the class 'saucer'" in rejected[0].detail


def yolo(root: Path, lines: str, **classes: str) -> None:
    sources.image(root / "images/1.jpg")
    sources.text(root / "labels/1.txt", lines)
    templates = {"images": "images/{n}.jpg", "labels": "labels/{n}.txt"}
    declare(root, reader="yolo", **templates, classes={"0": "car"} | classes)


def test_declared_classes_that_nobody_knows_are_counted_too(tmp_path: Path):
    line = "0.5 0.5 0.2 0.2\n"
    yolo(tmp_path, f"0 {line}3 {line}3 {line}4 {line}", **{"3": "gravel heap", "4": "unknown"})
    (image,), rejected = read_all(None, tmp_path)
    assert [box.category for box in image.boxes] == [63]
    assert [(r.rule, r.key, r.value) for r in rejected] == [
        ("unknown_class", "", None),
        ("unknown_class", "images/1.jpg", 2),
    ]


YOLO = {
    "number": ("unknown_id", f"{'9' * 5000} 0.5 0.5 0.2 0.2"),
    "not a number": ("broken_label", "0 nan 0.5 0.2 0.2"),
    "infinite": ("broken_label", "0 inf 0.5 0.2 0.2"),
    "far": ("broken_label", "0 1e9 0.5 0.2 0.2"),
    "negative": ("box_extent", "0 0.5 0.5 -0.2 0.2"),
}


@pytest.mark.parametrize("kind", YOLO)
def test_a_bad_line_of_yolo_is_noted(kind: str, tmp_path: Path):
    rule, line = YOLO[kind]
    yolo(tmp_path, f"{line}\n0 0.5 0.5 0.2 0.2\n")
    (image,), rejected = read_all(None, tmp_path)
    assert len(image.boxes) == 1 and rules(rejected) == [rule]
    assert len(rejected[0].detail) < 600


def test_images_without_any_label_file_are_an_error(tmp_path: Path):
    yolo(tmp_path, "0 0.5 0.5 0.2 0.2")
    (tmp_path / "labels").rename(tmp_path / "label")
    with pytest.raises(DataError, match=r"1 images and no label file, expected labels/1\.txt"):
        read_all(None, tmp_path)

"""The released layout of the benchmark, written and read."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from unigeoseg.data.exchange.benchmark import export_benchmark, read_benchmark
from unigeoseg.data.exchange.importing import import_benchmark
from unigeoseg.data.inspect.verify import verify_dataset
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, OutputExistsError
from unigeoseg.prompt import Task


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark") / "out"
    export_benchmark(dataset, out, split="train")
    return out


def test_the_layout_is_the_released_one(exported: Path, dataset: Dataset):
    counts = {}
    for folder in ("ref", "intera", "reason"):
        entries = json.loads((exported / folder / "test.json").read_text())
        counts[folder] = len(entries)
        for entry in entries[:5]:
            assert set(entry) == {"img", "mask", "json"} and f"{folder}/" in entry["img"]
            mask = cv2.imread(str(exported / entry["mask"]), cv2.IMREAD_UNCHANGED)
            assert mask.ndim == 2 and set(np.unique(mask)) <= {0, 255}
            said = json.loads((exported / entry["json"]).read_text())
            assert set(said) == {"question", "reason", "unigeoseg"} and len(said["question"]) == 1
    asked = [sample.prompt.task for sample in dataset.samples(split="train")]
    assert counts == {
        "ref": asked.count(Task.REFERRING),
        "intera": asked.count(Task.INTERACTIVE),
        "reason": asked.count(Task.REASONING),
    }


def test_what_the_layout_has_no_place_for_is_in_a_field_of_its_own(
    exported: Path, dataset: Dataset
):
    records = {
        row["id"]: {"image": image, "triplet": row}
        for image, rows in dataset.records(split="train")
        for row in rows
    }
    for path in exported.glob("*/texts/*.json"):
        about = json.loads(path.read_text())["unigeoseg"]
        for what, held in records[path.stem].items():
            assert about[what].items() <= held.items()
        assert {"program", "writer", "scores", "regions"} <= about["triplet"].keys()
        assert {"crs", "transform", "regions", "split", "group"} <= about["image"].keys()


def test_an_export_comes_back_through_the_import(exported: Path, dataset: Dataset, tmp_path: Path):
    imported = import_benchmark(exported, tmp_path / "out", "Apache-2.0")
    before = sorted(said(sample) for sample in dataset.samples(split="train"))
    assert sorted(said(sample) for sample in imported.samples(split="test")) == before
    assert {row["licence"] for row in imported.rows()} == {"Apache-2.0"}
    assert imported.summary.options == {"imported": "benchmark", "licence": "Apache-2.0"}
    assert verify_dataset(imported).passed
    names = sorted(sample.id for sample in imported.samples())
    again = import_benchmark(exported, tmp_path / "again", "Apache-2.0")
    assert sorted(sample.id for sample in again.samples()) == names
    with pytest.raises(OutputExistsError, match="exists; give the name of a new directory"):
        import_benchmark(exported, tmp_path / "out", "Apache-2.0")


def said(sample) -> tuple[str, str, str]:
    return (
        sample.prompt.instruction(sample.width, sample.height),
        sample.rle["counts"],
        sample.answer,
    )


def write(root: Path, folder: str, question: object, **paths: str) -> Path:
    entry = {"img": f"{folder}/a.png", "mask": f"{folder}/m.png", "json": f"{folder}/t.json"}
    (root / folder).mkdir(parents=True, exist_ok=True)
    mask = np.zeros((40, 80), np.uint8)
    mask[10:20, 20:40] = 255
    cv2.imwrite(str(root / folder / "m.png"), mask)
    cv2.imwrite(str(root / folder / "a.png"), np.full((40, 80, 3), 90, np.uint8))
    (root / folder / "t.json").write_text(json.dumps({"question": question, "reason": ["so"]}))
    (root / folder / "test.json").write_text(json.dumps([entry | paths]))
    return root


@pytest.mark.parametrize(
    ("question", "points", "box"),
    [
        ("... corresponding to the point [0.49, 0.828].", [(39.2, 33.12)], None),
        ("... to the points {(0.1,0.2), (0.3, 0.4)}.", [(8, 8), (24, 16)], None),
        ("... box x0,y0=[0.434,0.113], x1,y1=[0.717,0.287].", [], (34.72, 4.52, 57.36, 11.48)),
    ],
)
def test_released_coordinates_become_pixels(question, points, box, tmp_path: Path):
    ((sample, path),) = read_benchmark(write(tmp_path, "intera", [question]), "CC0-1.0")
    assert path == tmp_path.resolve() / "intera" / "a.png"
    found = [(point.x, point.y) for point in sample.prompt.points]
    assert np.allclose(found, points) and sample.mask().sum() == 200
    edges = sample.prompt.box
    assert (edges is None) == (box is None)
    if box:
        assert np.allclose((edges.x0, edges.y0, edges.x1, edges.y1), box)
    assert sample.family == ("box" if box else "point")


def test_other_folders_are_reasoning_and_each_question_is_a_sample(tmp_path: Path):
    found = list(read_benchmark(write(tmp_path, "rea_c", ["what floats?", "what swims?"]), "CC0"))
    assert [sample.prompt.task for sample, _ in found] == [Task.REASONING] * 2
    assert [sample.answer for sample, _ in found] == ["so", ""]


def test_broken_benchmarks_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no test\.json"):
        list(read_benchmark(tmp_path, "CC0"))
    (tmp_path / "secret.png").write_bytes(b"")
    root = write(tmp_path / "root", "ref", ["a roof"], img="../secret.png")
    with pytest.raises(DataError, match="leads out of"):
        list(read_benchmark(root, "CC0"))
    write(root, "ref", ["a roof"], img=str(tmp_path / "secret.png"))
    with pytest.raises(DataError, match="leads out of"):
        list(read_benchmark(root, "CC0"))
    write(root, "ref", ["a roof"], mask="ref/none.png")
    with pytest.raises(DataError, match="is missing; the benchmark is not whole"):
        list(read_benchmark(root, "CC0"))
    (root / "ref" / "test.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match="is no list of"):
        list(read_benchmark(root, "CC0"))
    with pytest.raises(DataError, match="names no point and no box"):
        list(read_benchmark(write(tmp_path / "other", "intera", ["the roof"]), "CC0"))
    cv2.imwrite(
        str(write(tmp_path / "size", "ref", ["a roof"]) / "ref" / "a.png"), np.zeros((4, 4))
    )
    with pytest.raises(DataError, match=r"is \(4, 4\) \(H, W\), its mask \(40, 80\)"):
        import_benchmark(tmp_path / "size", tmp_path / "out", "CC0")
    assert not list(tmp_path.glob("*out*"))

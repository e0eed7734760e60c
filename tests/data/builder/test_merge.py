"""What the global pass keeps."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import builds

from unigeoseg.data.builder.merge import select_triplets, write_shards
from unigeoseg.data.instructions.draft import PUBLISHED
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import TableWriter, read_rows, read_schema


def write(path: Path, like: Path, rows) -> None:
    with TableWriter(path, read_schema(like), group=8) as writer:
        writer.write(rows)


def test_reasoning_stays_with_the_most_diverse_patches(dataset: Dataset, tmp_path: Path):
    folder = tmp_path / "000000"
    folder.mkdir()
    images = [
        {**row, "split": "train", "phash": None, "image_phash": None}
        for row in islice(dataset.image_rows(), 4)
    ]
    region = images[0]["regions"][0]
    for count, image in zip((1, 3, 2, 3), images, strict=True):
        image["regions"] = [{**region, "category": 30 + at} for at in range(count)]
    triplet = next(dataset.rows())
    rows = [
        {
            **triplet,
            "id": f"{family}-{at}",
            "image": image["id"],
            "family": family,
            "writer": writer,
        }
        for at, image in enumerate(images)
        for family, writer in (("attribute", "w"), ("context", "w"), ("point", "w"))
    ]
    rows.append({**rows[0], "id": "theirs", "writer": PUBLISHED})
    write(folder / "images.parquet", dataset.images[0], images)
    write(folder / "triplets.parquet", dataset.triplets[0], rows)
    chosen = select_triplets([folder], replace(builds.OPTIONS, diverse=0.5))
    assert chosen.triplets == {
        *(f"point-{at}" for at in range(4)),
        *(f"{family}-{at}" for family in ("attribute", "context") for at in (1, 3)),
        "theirs",
    }
    assert [each.rule for each in chosen.rejections] == ["diversity"] * 4
    assert {(each.key, each.value, each.limit) for each in chosen.rejections} == {
        (images[2]["key"], 3, 2),
        (images[0]["key"], 4, 2),
    }
    assert "with 2 categories" in chosen.rejections[-1].detail
    one = select_triplets([folder], replace(builds.OPTIONS, diverse=0.25)).triplets
    assert sum(name.startswith("attribute") for name in one) == 1
    assert len(select_triplets([folder], builds.OPTIONS).triplets) == len(rows)


def test_caps_copies_and_images_without_a_triplet_are_noted_with_their_image(
    dataset: Dataset, tmp_path: Path
):
    folders = [tmp_path / "000000", tmp_path / "000001"]
    one, other = (
        {**row, "split": "train", "phash": None, "image_phash": None}
        for row in islice(dataset.image_rows(), 2)
    )
    triplet = next(dataset.rows())
    rows = [{**triplet, "id": f"t{at}", "image": one["id"], "family": "box"} for at in range(3)]
    for folder, image in zip(folders, (one, other), strict=True):
        folder.mkdir()
        write(folder / "images.parquet", dataset.images[0], [image])
        write(folder / "ledger.parquet", dataset.path / "ledger.parquet", [])
    write(folders[0] / "triplets.parquet", dataset.triplets[0], [*rows, rows[1]])
    write(folders[1] / "triplets.parquet", dataset.triplets[0], [])
    chosen = select_triplets(folders, replace(builds.OPTIONS, cap=2))
    told = [(each.rule, each.key, each.value, each.limit) for each in chosen.rejections]
    assert told == [("same_triplet", one["key"], 2, 1), ("category", one["key"], 3, 2)]
    (tmp_path / "out").mkdir()
    counts = write_shards(tmp_path / "out", folders, chosen)
    assert (counts.images, counts.rejections["merge"]) == (1, {"no_triplet": 1})
    (line,) = [
        row for row in read_rows(tmp_path / "out" / "ledger.parquet") if row["rule"] == "no_triplet"
    ]
    assert line["key"] == other["key"]
    assert line["detail"] == f"patch at x {other['x']}, y {other['y']}"

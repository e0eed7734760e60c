"""What the global pass keeps."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import builds
from unigeoseg.data.dataset import Dataset
from unigeoseg.data.draft import PUBLISHED
from unigeoseg.data.merge import choose
from unigeoseg.data.parquet import TableWriter, schema_of


def write(path: Path, like: Path, rows) -> None:
    with TableWriter(path, schema_of(like), group=8) as writer:
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
    chosen = choose([folder], replace(builds.OPTIONS, diverse=0.5))
    assert chosen.triplets == {
        *(f"point-{at}" for at in range(4)),
        *(f"{family}-{at}" for family in ("attribute", "context") for at in (1, 3)),
        "theirs",
    }
    assert [each.rule for each in chosen.rejections] == ["diversity"] * 4
    one = choose([folder], replace(builds.OPTIONS, diverse=0.25)).triplets
    assert sum(name.startswith("attribute") for name in one) == 1
    assert len(choose([folder], builds.OPTIONS).triplets) == len(rows)

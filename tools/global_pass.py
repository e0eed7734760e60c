"""Peak memory of the data engine's global pass: made rows, eight triplets an image, no pictures.

Usage: python tools/global_pass.py TRIPLETS
"""

import hashlib
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from unigeoseg.data.builder.merge import select_triplets
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.store.parquet import Row, TableWriter
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, TRIPLET_GROUP, TRIPLETS

_PER_IMAGE = 8


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _image(number: int) -> Row:
    region = {"region": 1, "category": 25, "rle": "0"}
    return {
        "id": _name(f"image {number}"),
        "source": "made",
        "key": f"images/{number:07}.png",
        "group": f"made/{number:07}",
        "split": "",
        "phash": int(_name(f"patch {number}"), 16),
        "image_phash": int(_name(f"picture {number}"), 16),
        "regions": [region],
    }


def _triplet(number: int) -> Row:
    return {
        "id": _name(f"triplet {number}"),
        "image": _name(f"image {number // _PER_IMAGE}"),
        "category_id": 25,
        "source": "made",
        "family": "referring",
        "writer": "made",
    }


def measure(triplets: int) -> int:
    """Peak memory in MB of this process after `select_triplets` over as many triplets."""
    with TemporaryDirectory() as folder:
        unit = Path(folder)
        with TableWriter(unit / "images.parquet", IMAGES, group=IMAGE_GROUP) as images:
            images.write(_image(at) for at in range(-(-triplets // _PER_IMAGE)))
        with TableWriter(unit / "triplets.parquet", TRIPLETS, group=TRIPLET_GROUP) as writer:
            writer.write(_triplet(at) for at in range(triplets))
        assert len(select_triplets([unit], Options()).triplets) == triplets
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    count = int(sys.argv[1])
    sys.stdout.write(f"{count} triplets: {measure(count)} MB\n")

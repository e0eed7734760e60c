"""The benchmark suites, a row each: files, split, protocol, licence, whom to cite."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from unigeoseg.errors import OptionError

LayoutName = Literal["released", "shards", "catalogue", "samrs", "rsvg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A benchmark: its files, and the protocol by which it is scored.

    Attributes:
        name: Its name on the command line.
        title: Its name as its publisher writes it.
        layout: How its files lie; see `layouts`.
        split: Which of its splits is scored.
        protocol: What is scored, and which choices its publisher leaves open.
        cite: Whom to cite.
        licence: Of images and masks, where its publisher states one.
        url: Where its files are published.
        samples: Their number by its publisher; 0 where any number is right.
        boxes: Whether boxes are scored, those of the masks' largest regions, instead of masks.
        source: Row of the data catalogue that reads it, for the layout "catalogue".
        hub: Data set on the Hugging Face hub with its files, or empty.
    """

    name: str
    title: str
    layout: LayoutName
    split: str
    protocol: str
    cite: str = ""
    licence: str = "not stated by its publisher"
    url: str = ""
    samples: int = 0
    boxes: bool = False
    source: str = ""
    hub: str = ""


_MASKS = "every text of the split, whole image, masks at the image's own size"
_GEOSEG = "UniGeoSeg, arXiv:2511.23332"

_GEOSEG_BENCH = Suite(
    name="geoseg-bench",
    title="GeoSeg-Bench",
    layout="released",
    split="test",
    protocol="every question of every test.json; published numbers are of masks letterboxed to "
    "512 pixels, which --mode released computes",
    cite=_GEOSEG,
    licence="Apache-2.0, as its card says",
    url="https://huggingface.co/datasets/nishuo1999/GeoSeg-Bench",
    samples=6892,
    hub="nishuo1999/GeoSeg-Bench",
)
_OPEN = Suite(
    name="geoseg-bench-open",
    title="GeoSeg-Bench-Open",
    layout="shards",
    split="test",
    protocol="images of open sets that no training of ours has seen; instructions by the engine; "
    "rebuilt by `unigeoseg bench rebuild`",
)
_EARTHREASON = tuple(
    Suite(
        name=f"earthreason-{split}",
        title=f"EarthReason {split}",
        layout="catalogue",
        split=split,
        protocol=f"{_MASKS}; an empty truth means that nothing answers the question",
        cite="SegEarth-R1, arXiv:2504.09644",
        url="https://huggingface.co/datasets/earth-insights/EarthReason",
        source="earthreason",
    )
    for split in ("val", "test")
)
_RRSIS_D = tuple(
    Suite(
        name=f"rrsis-d-{split}",
        title=f"RRSIS-D {split}",
        layout="catalogue",
        split=split,
        protocol=f"{_MASKS}; published rows mix val and test, and some print Pr@0.5 as oIoU",
        cite="RMSIN, arXiv:2312.12470",
        url="https://github.com/Lsan2401/RMSIN",
        source="rrsis-d",
    )
    for split in ("val", "test")
)
_REFSEGRS = Suite(
    name="refsegrs",
    title="RefSegRS test",
    layout="catalogue",
    split="test",
    protocol=_MASKS,
    cite="arXiv:2306.08625",
    licence="CC BY 4.0",
    url="https://huggingface.co/datasets/JessicaYuan/RefSegRS",
    source="refsegrs",
)
_RISBENCH = Suite(
    name="risbench",
    title="RISBench test",
    layout="catalogue",
    split="test",
    protocol=_MASKS,
    cite="CroBIM, arXiv:2410.08613",
    url="https://github.com/HIT-SIRS/CroBIM",
    source="risbench",
)
_SIOR = Suite(
    name="sior",
    title="SIOR",
    layout="samrs",
    split="",
    protocol="4,000 images by the lowest SHA-256 of their names, one region each, by turns with a "
    "point on it and in its box; the paper's own draw is not published, so numbers are near its, "
    "not equal",
    cite="SAMRS, arXiv:2305.02034; protocol of UniGeoSeg, arXiv:2511.23332",
    url="https://github.com/ViTAE-Transformer/SAMRS",
    samples=4000,
)
_DIOR_RSVG = Suite(
    name="dior-rsvg",
    title="DIOR-RSVG test",
    layout="rsvg",
    split="test",
    protocol="boxes: the tight box of the mask's largest 8-connected region against the given box",
    cite="arXiv:2210.12634",
    url="https://github.com/ZhanYang-nwpu/RSVG-pytorch",
    boxes=True,
)

SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            _GEOSEG_BENCH,
            _OPEN,
            *_EARTHREASON,
            *_RRSIS_D,
            _REFSEGRS,
            _RISBENCH,
            _SIOR,
            _DIOR_RSVG,
        )
    }
)


def suite_of_folder(folder: Path) -> Suite:
    """The row of a folder of our shards, or of one in the released layout of GeoSeg-Bench.

    Raises:
        OptionError: If it is neither.
    """
    if (folder / "dataset.json").is_file():
        layout: LayoutName = "shards"
    elif next(folder.glob("**/test.json"), None):
        layout = "released"
    else:
        raise OptionError(
            f"{folder} is no suite and no folder of one; give one of {', '.join(SUITES)}, a folder "
            "with dataset.json, or one with test.json in the layout of GeoSeg-Bench"
        )
    return Suite(
        name=folder.resolve().name,
        title=folder.resolve().name,
        layout=layout,
        split="test",
        protocol="every sample of the test split, masks at the image's own size",
    )

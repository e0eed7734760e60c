"""Suites on images of DIOR: regions of SIOR (SAMRS) and boxes of DIOR-RSVG."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from unigeoseg.data.sources.readers.images import read_mask_codes
from unigeoseg.data.sources.readers.reading import RejectedError, read_label_text
from unigeoseg.errors import DataError
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.geo.masks import encode_mask, label_components, tight_box
from unigeoseg.prompt import Box, Point, Prompt, Task
from unigeoseg.sample import Sample

_BACKGROUND = 255  # class id of pixels without a class
_LEAST_SHARE, _MOST_SHARE = 0.005, 0.7  # of the image, as the paper's rule for targets

_CLASSES = (
    "airplane", "airport", "baseball field", "basketball court", "bridge", "chimney", "dam",
    "expressway service area", "expressway toll station", "golf field", "ground track field",
    "harbor", "overpass", "ship", "stadium", "storage tank", "tennis court", "train station",
    "vehicle", "windmill",
)  # fmt: skip
"""DIOR's classes by name, which the ids of SIOR's masks are taken to follow."""


class SamrsLayout(Layout):
    """A set of SAMRS: `images/NAME.jpg`, `gray/NAME.png` with class ids, 255 where none."""

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`: one region of each image, alternately by a point and a box."""
        count = 0
        for path in _by_digest(self.folder):
            if count == self.suite.samples:
                return
            codes = read_mask_codes(path)
            rng = np.random.default_rng(list(_digest(path)))
            region = _random_region(codes, rng)
            if region is not None:
                prompt = _box(region) if count % 2 else _random_point(region, rng)
                yield self._sample(path, codes, region, prompt)
                count += 1
        if count < self.suite.samples:
            raise DataError(
                f"{self.folder} gives {count} regions, the protocol draws {self.suite.samples}: "
                "images or masks are missing"
            )

    def _sample(
        self, path: Path, codes: NDArray[np.uint8], region: NDArray[np.bool_], prompt: Prompt
    ) -> Sample:
        code = int(codes[region][0])
        return Sample(
            image=f"images/{path.stem}.jpg",
            width=codes.shape[1],
            height=codes.shape[0],
            prompt=prompt,
            rle=encode_mask(region),
            category=_CLASSES[code] if code < len(_CLASSES) else str(code),
            source=self.suite.name,
            licence=self.suite.licence,
            group=f"{self.suite.name}/{path.stem}",
            family="box" if prompt.box else "point",
        )


def _by_digest(folder: Path) -> Sequence[Path]:
    """Files of masks in a random order that is the same everywhere."""
    return sorted((folder / "gray").glob("*.png"), key=_digest)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.stem.encode()).digest()


def _random_region(codes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """One 8-connected region of one class, of a size that the paper allows."""
    regions = []
    for code in sorted(set(np.unique(codes).tolist()) - {_BACKGROUND}):
        labels = label_components(codes == code)
        sizes = np.bincount(labels.ravel()) / labels.size
        allowed = np.flatnonzero((sizes >= _LEAST_SHARE) & (sizes <= _MOST_SHARE))
        regions += [labels == label for label in allowed if label]
    return regions[int(rng.integers(len(regions)))] if regions else None


def _random_point(region: NDArray[np.bool_], rng: np.random.Generator) -> Prompt:
    rows, columns = np.nonzero(region)
    index = int(rng.integers(len(rows)))
    return Prompt.from_points([Point(float(columns[index]) + 0.5, float(rows[index]) + 0.5)])


def _box(region: NDArray[np.bool_]) -> Prompt:
    edges = tight_box(region)
    assert edges is not None  # a region has pixels
    return Prompt.from_box(Box(*edges))


class RsvgLayout(Layout):
    """DIOR-RSVG: `Annotations/*.xml` with a description per object, `SPLIT.txt` with numbers.

    The numbers count the objects of all annotations, by file name, from 0.
    """

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        listing = self.folder / f"{self.suite.split}.txt"
        try:
            selected = {int(word) for word in read_label_text(listing).split()}
        except ValueError as error:
            raise DataError(f"{listing} holds something else than numbers: {error}") from error
        number = 0
        for path in sorted((self.folder / "Annotations").glob("*.xml")):
            root = _xml(path)
            for entry in root.iter("object"):
                if number in selected:
                    yield self._sample(path, root, entry)
                number += 1
        if not selected or max(selected) >= number:
            raise DataError(
                f"{listing} names object {max(selected, default=-1)}, Annotations have {number}: "
                "files are missing"
            )

    def _sample(self, path: Path, root: Element, entry: Element) -> Sample:
        try:
            width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
            x0, y0, x1, y1 = (
                int(float(entry.findtext(f"bndbox/{edge}", "")))
                for edge in ("xmin", "ymin", "xmax", "ymax")
            )
            name = Path(root.findtext("filename", "")).name
            prompt = Prompt.from_text(entry.findtext("description", ""), Task.REFERRING)
        except ValueError as error:
            raise DataError(f"{path} has an object without its numbers: {error}") from error
        mask = np.zeros((height, width), np.bool_)
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
        return Sample(
            image=f"JPEGImages/{name}",
            width=width,
            height=height,
            prompt=prompt,
            rle=encode_mask(mask),
            category=entry.findtext("name", ""),
            source=self.suite.name,
            licence=self.suite.licence,
            group=f"{self.suite.name}/{path.stem}",
            family="referring",
            split=self.suite.split,
        )


def _xml(path: Path) -> Element:
    try:
        root: Element = fromstring(read_label_text(path))
    except (ParseError, DefusedXmlException) as error:
        raise RejectedError("broken_label", f"{path.name} is not valid XML: {error}") from error
    return root

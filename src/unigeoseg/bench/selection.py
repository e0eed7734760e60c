"""Which samples of a dataset enter GeoSeg-Bench-Open, and the audit against what models trained on.

Balanced over families and categories: small ones enter whole, large ones share what is left. Of a
category those come first whose scene has not been used for it yet.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unigeoseg.data.audit import Seen, perceptual_hash, twins
from unigeoseg.data.dataset import Dataset
from unigeoseg.data.patches import SIZE, STRIDE
from unigeoseg.data.readers import groups_of, has_masks
from unigeoseg.data.readers.images import read_image
from unigeoseg.data.split import split_groups
from unigeoseg.errors import DataError
from unigeoseg.geo.tile import plan_tiles
from unigeoseg.sample import Sample


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen, and what was refused.

    Attributes:
        samples: The chosen ones.
        leaks: Images that show what training saw.
        unknown: Images with pixels that nobody knows; masks could not be scored there.
    """

    samples: tuple[Sample, ...]
    leaks: frozenset[str]
    unknown: frozenset[str]


def select(dataset: Dataset, training: Iterable[Seen], *, total: int) -> Selected:
    """Choose samples whose images no training saw.

    A dataset may be split otherwise than what a model trained on was, so its own splits do not
    count: every image of the trained groups is left out, whatever its split here.

    Args:
        dataset: What the engine built.
        training: Images that no sample may show, of the splits "train" and "val".
        total: How many samples.

    Raises:
        DataError: If there are fewer, or its patches are not of the usual size and stride, which
            an index takes for granted.
    """
    options = dataset.summary.get("options", {})
    cut = options.get("size"), options.get("stride")
    if cut != (SIZE, STRIDE):
        raise DataError(
            f"the patches of {dataset.path} are of size and stride {cut}, an index needs "
            f"{(SIZE, STRIDE)}; build it without --size and --stride"
        )
    names = ("id", "source", "key", "group", "split", "phash", "unknown")
    rows = [row | {"split": "test"} for row in dataset.image_rows(names)]
    unknown = frozenset(row["id"] for row in rows if row.pop("unknown") is not None)
    leaks = leaked([Seen(**row) for row in rows], training)
    candidates = [
        replace(sample, split="test")
        for sample in dataset.samples()
        if sample.image not in leaks and sample.image not in unknown
    ]
    if len(candidates) < total:
        raise DataError(f"{dataset.path} has {len(candidates)} samples to choose {total} from")
    return Selected(tuple(balanced(candidates, total)), leaks, unknown)


def leaked(test: Iterable[Seen], training: Iterable[Seen]) -> frozenset[str]:
    """Ids of test images whose file or scene trained, or that look like an image that did."""
    trained = list(training)
    groups = {image.group for image in trained}
    files = {(image.source, Path(image.key).stem) for image in trained}
    tested = list(test)
    known = {
        image.id
        for image in tested
        if image.group in groups or (image.source, Path(image.key).stem) in files
    }
    alike = {twin.kept.id for twin in twins([*tested, *trained]) if twin.leak}
    return frozenset(known | alike)


def trained_on(data: Path) -> Iterator[Seen]:
    """Every window of the images that Nano's training and tuning saw, in a folder of labelled sets.

    Raises:
        DataError: If an image cannot be read.
    """
    for directory in sorted(path for path in data.glob("*") if has_masks(path)):
        groups = groups_of(directory)
        splits = split_groups(groups.values())
        for path, group in groups.items():
            if splits[group] != "test":
                yield from _windows(directory.name, path, group, splits[group])


def _windows(source: str, path: Path, group: str, split: str) -> Iterator[Seen]:
    pixels = read_image(path).pixels
    height, width = pixels.shape[:2]
    for window in plan_tiles(width, height, SIZE, SIZE - STRIDE):
        phash = perceptual_hash(pixels[window.toslices()])
        name = f"{source}/{path.name}/{window.col_off},{window.row_off}"
        yield Seen(name, source, path.name, group, split, phash)


def balanced(candidates: Iterable[Sample], total: int) -> Iterator[Sample]:
    """Samples, as even over families and then over categories as they allow."""
    families: defaultdict[str, list[Sample]] = defaultdict(list)
    for each in candidates:
        families[each.family].append(each)
    used: Counter[tuple[str, str]] = Counter()
    for family, count in shares(_sizes(families), total).items():
        categories: defaultdict[str, list[Sample]] = defaultdict(list)
        for each in families[family]:
            categories[each.category].append(each)
        for category, wanted in shares(_sizes(categories), count).items():
            yield from _diverse(categories[category], wanted, used)


def _sizes(groups: Mapping[str, list[Sample]]) -> dict[str, int]:
    return {name: len(members) for name, members in groups.items()}


def shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each group to take so that they are as even as their sizes allow."""
    left, given = total, {}
    ranked = sorted(sizes.items(), key=lambda pair: (pair[1], pair[0]))
    for at, (name, size) in enumerate(ranked):
        given[name] = min(size, left // (len(ranked) - at))
        left -= given[name]
    return given


def _diverse(
    candidates: list[Sample], count: int, used: Counter[tuple[str, str]]
) -> Iterator[Sample]:
    """Samples of the scenes and images that were used least, else by the hash of their ids."""
    rest = sorted(candidates, key=lambda each: hashlib.sha256(each.id.encode()).digest())
    for _ in range(count):
        chosen = min(rest, key=lambda each: (used[each.group, each.category], used[each.image, ""]))
        rest.remove(chosen)
        used[chosen.group, chosen.category] += 1
        used[chosen.image, ""] += 1
        yield chosen

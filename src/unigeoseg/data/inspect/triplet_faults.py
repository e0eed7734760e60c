"""Faults of a triplet: what its own values and the regions of its image say against it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.candidates.filters import FilterRules
from unigeoseg.data.instructions.clicks_boxes import WRITER as INTERACTIVE
from unigeoseg.data.instructions.draft import PUBLISHED
from unigeoseg.data.instructions.program_writer import OfflineWriter
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.programs.reference import NoSelection, reference_selection
from unigeoseg.data.taxonomy.categories import leaked_word, taxonomy
from unigeoseg.geo.masks import tight_box
from unigeoseg.prompt import Task
from unigeoseg.sample import Sample

Fault = tuple[str, str]
"""A kind of check, and its failure in words, or empty."""

Mask = NDArray[np.bool_]

_TASKS = {
    "point": Task.INTERACTIVE,
    "box": Task.INTERACTIVE,
    "referring": Task.REFERRING,
    "attribute": Task.REASONING,
    "context": Task.REASONING,
}
"""The families of a dataset, and the task of each."""


def triplet_faults(
    sample: Sample, mask: Mask, patch: Patch | None, *, offline: bool
) -> Iterator[Fault]:
    """Each kind of check that applies to a triplet, with its outcome.

    Args:
        sample: The triplet.
        mask: (H, W) bool, its mask.
        patch: Its image with regions, of the same size; None if the image is damaged.
        offline: Whether the build had no models that write.
    """
    yield "family", _wrong_family(sample)
    yield "category", _unknown_category(sample)
    yield "writer", _wrong_writer(sample, patch, offline=offline)
    if sample.writer == PUBLISHED:
        return
    yield "mask", "" if mask.any() else "the mask is empty"
    yield "prompt", _wrong_place(sample, mask)
    if patch is not None:
        yield from _faults_against_regions(sample, mask, patch)
    if sample.prompt.task is Task.REASONING and sample.category_id in taxonomy():
        word = leaked_word(sample.prompt.text, taxonomy()[sample.category_id])
        yield "leak", f"{sample.prompt.text!r} says {word!r}" if word else ""


def _faults_against_regions(sample: Sample, mask: Mask, patch: Patch) -> Iterator[Fault]:
    yield "regions", _wrong_regions(sample, patch)
    yield "mask", _other_mask(sample, mask, patch)
    yield "area", _wrong_area(sample, patch)
    if sample.program or _needs_program(sample):
        yield "program", _wrong_selection(sample, patch)


def _wrong_family(sample: Sample) -> str:
    task = _TASKS.get(sample.family)
    if task is None:
        return f"the family is {sample.family!r}, expected one of {', '.join(_TASKS)}"
    actual = sample.prompt.task
    return "" if actual is task else f"{sample.family} is {task.value}, it asks as {actual.value}"


def _unknown_category(sample: Sample) -> str:
    entry = taxonomy().get(sample.category_id)
    name = entry.name if entry else ""
    if sample.category_id and entry is None:
        return f"there is no category {sample.category_id}"
    if sample.category == name:
        return ""
    return f"category {sample.category_id} is {name!r}, not {sample.category!r}"


def _wrong_writer(sample: Sample, patch: Patch | None, *, offline: bool) -> str:
    """A writer that cannot have written this, so that no check is escaped by a name."""
    name = sample.writer
    if name == PUBLISHED:
        # a source has instructions of its own or labels, and a published one no proof
        generated = sample.regions or sample.program or (patch is not None and patch.categories)
        return "it is said to be published, but has regions or a program" if generated else ""
    if (sample.prompt.task is Task.INTERACTIVE) != (name == INTERACTIVE):
        return f"{name!r} writes no {sample.family}"
    if offline and name not in (INTERACTIVE, OfflineWriter.name):
        return f"{name!r} has no part in a build with the offline judge"
    return "" if name else "nobody has written it"


def _wrong_place(sample: Sample, mask: Mask) -> str:
    box = sample.prompt.box
    if box is not None and (box.x0, box.y0, box.x1, box.y1) != tight_box(mask):
        return f"the box is not {tight_box(mask)}, the tight one of its mask"
    height, width = mask.shape
    for point in sample.prompt.points:
        within = 0 <= point.x < width and 0 <= point.y < height
        if not within or not mask[int(point.y), int(point.x)]:
            return f"the point {point.x}, {point.y} is not in the mask"
    return ""


def _wrong_regions(sample: Sample, patch: Patch) -> str:
    if not sample.regions:
        return "it selects no region of its image"
    categories = [patch.categories.get(region, 0) for region in sample.regions]
    if set(categories) == {sample.category_id}:
        return ""
    return (
        f"regions {list(sample.regions)} are of {categories}, not of category {sample.category_id}"
    )


def _needs_program(sample: Sample) -> bool:
    return sample.writer == OfflineWriter.name


def _other_mask(sample: Sample, mask: Mask, patch: Patch) -> str:
    of_regions = np.isin(patch.regions, sample.regions)
    equal = np.array_equal(of_regions, mask)
    return "" if equal else f"the mask is not that of regions {list(sample.regions)}"


def _wrong_area(sample: Sample, patch: Patch) -> str:
    rules = FilterRules()
    for region in sample.regions:
        share = float((patch.regions == region).mean())
        if not rules.least_share <= share <= rules.most_share:
            return (
                f"region {region} covers {share:.2%}, expected {rules.least_share:.2%} to "
                f"{rules.most_share:.2%}"
            )
    return ""


def _wrong_selection(sample: Sample, patch: Patch) -> str:
    if not sample.program:
        return "it has no program that proves its target"
    try:
        selected = reference_selection(sample.program, patch)
    except NoSelection as error:
        return f"{sample.program!r} selects nothing: {error}"
    if selected == set(sample.regions):
        return ""
    return f"{sample.program!r} selects {sorted(selected)}, not {sample.regions}"

"""Instructions for all regions of a category: by its name, by a question, or with nothing to find.

The paper's triplets mean one region each. "The buildings" means every one of them, and the answer
to an instruction for something that is not there is an empty mask; a model learns both from these.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from unigeoseg.data.instructions.draft import Draft, Family
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy.categories import category_by_name, leaked_word, taxonomy
from unigeoseg.data.taxonomy.confusable import confusable
from unigeoseg.prompt import Prompt, Task

WRITER = "kinds/1"
"""Name that the drafts carry."""

NEVER_SHOWN: Mapping[str, tuple[str, ...]] = {
    "hot_fair_buildings": ("airplane", "ship", "storage tank", "harbor", "oil spill", "landslide"),
    "dubai_mbrsc": ("airplane", "baseball diamond", "oil spill", "landslide"),
    "epfl_roads": ("airplane", "ship", "harbor", "oil spill", "landslide", "storage tank"),
    "agoro_fields": ("airplane", "ship", "harbor", "storage tank", "tennis court", "oil spill"),
    "gsi_solar": ("airplane", "ship", "harbor", "oil spill", "baseball diamond"),
    "bijie_landslide": ("airplane", "ship", "harbor", "oil spill", "tennis court", "storage tank"),
    "water_s2l8_128": ("airplane", "tennis court", "baseball diamond", "oil spill"),
    "hrsid_sar_ship": ("airplane", "tennis court", "baseball diamond", "solar panel"),
    "sar_oil_spill": ("airplane", "tennis court", "baseball diamond", "solar panel"),
    "neon_tree_boxes": ("airplane", "ship", "harbor", "storage tank", "oil spill"),
    "aerial_cars_boxes": ("airplane", "ship", "oil spill", "landslide", "baseball diamond"),
}
"""By source, names of categories that it does not label and that its images certainly do not show,
as the choice of its places tells. Some of Nano's sources; of others nothing is certain."""

_MIN_AREA_PX = 40  # a category with fewer pixels is not asked for
_BY_FUNCTION = (  # templates that ask for what has a function
    "What {}?",
    "What here {}?",
    "Which part of the picture {}?",
    "the part of the scene that {}",
    "everything that {}",
    "Find what {}.",
    "Show me whatever {}.",
    "If you look for something that {}, where is it?",
)
_REQUESTS = ("{}", "the {}", "the {}", "all {}", "all the {}", "segment the {}", "find {}")


def whole_categories(patch: Patch) -> list[int]:
    """Categories of which everything in the patch is known, and enough is there.

    A category that the source labels nowhere else, or that could be taken for another one in the
    patch (a broader one, a near-duplicate), has no certain whole.
    """
    region_areas = np.bincount(patch.regions.ravel(), minlength=1)
    areas: dict[int, int] = {}
    for region, category in patch.categories.items():
        if region < len(region_areas):
            areas[category] = areas.get(category, 0) + int(region_areas[region])
    return [
        category
        for category, area in sorted(areas.items())
        if area >= _MIN_AREA_PX
        and taxonomy()[category].target
        and category in patch.labelled
        and not any(_may_be_confused(category, present) for present in areas if present != category)
    ]


def missing_categories(patch: Patch, never: Iterable[int] = ()) -> list[int]:
    """Categories that are certainly not in the patch; none where some of it is unknown.

    Args:
        patch: The patch.
        never: Categories that its source never shows; see `never_shown`.
    """
    if (patch.regions == UNKNOWN_REGION).any():
        return []
    present_categories = set(patch.categories.values())
    return [
        category
        for category in sorted({*patch.labelled, *never})
        if taxonomy()[category].target
        and not any(_may_be_confused(category, present) for present in present_categories)
    ]


def never_shown(source: str) -> tuple[int, ...]:
    """Ids of `NEVER_SHOWN`: the mask of an instruction for one of them is certainly empty."""
    names = NEVER_SHOWN.get(source, ())
    return tuple(category.id for name in names if (category := category_by_name(name)))


def _may_be_confused(category: int, present: int) -> bool:
    """Whether a region of one category might answer to the name of another."""
    return confusable(category, present) is not False


def name_draft(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """All of a category by one of its names; an empty mask if the patch has none."""
    entry = taxonomy()[category]
    text = _request((*entry.plural, entry.label), rng)
    return _draft("category", patch, category, text, Task.REFERRING)


def held_out_name_draft(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """All of a category by a name that is held out from every generator, to test with."""
    text = _request(taxonomy()[category].held_out.names, rng)
    return _draft("category", patch, category, text, Task.REFERRING)


def question_draft(
    patch: Patch, category: int, rng: np.random.Generator, *, template_share: float = 0.0
) -> Draft | None:
    """All of a category by a question that does not name it; None if its questions do.

    Args:
        patch: The patch.
        category: Id in the taxonomy.
        rng: Draws.
        template_share: Share of questions that ask for what the category does by a template, so
            that a learner hears more than the few questions that are written out.
    """
    return _unnamed("question", patch, category, rng, Task.REASONING, template_share)


def held_out_question_draft(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """All of a category by a question that is held out from every generator, to test with."""
    text = _any(taxonomy()[category].held_out.questions, rng)
    return _draft("question", patch, category, text, Task.REASONING)


def description_draft(
    patch: Patch, category: int, rng: np.random.Generator, *, template_share: float = 0.0
) -> Draft | None:
    """All of a category by a phrase that reads as a reference; None if there is none.

    Arguments are those of `question_draft`.
    """
    return _unnamed("described", patch, category, rng, Task.REFERRING, template_share)


def _unnamed(  # noqa: PLR0917
    family: Family,
    patch: Patch,
    category: int,
    rng: np.random.Generator,
    task: Task,
    template_share: float,
) -> Draft | None:
    entry = taxonomy()[category]
    texts: Sequence[str] = entry.questions
    if template_share and entry.functions and rng.random() < template_share:
        texts = [
            template.format(function) for function in entry.functions for template in _BY_FUNCTION
        ]
    candidates = [
        text
        for text in texts
        if leaked_word(text, entry) is None
        and (task is Task.REASONING or Prompt.from_text(text).task is task)
    ]
    if not candidates:
        return None
    return _draft(family, patch, category, _any(candidates, rng), task)


def _request(names: Sequence[str], rng: np.random.Generator) -> str:
    name = _any(names, rng)
    return _any(_REQUESTS, rng).format(name)


def _any(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _draft(family: Family, patch: Patch, category: int, text: str, task: Task) -> Draft:
    entry = taxonomy()[category]
    regions = tuple(
        sorted(
            region
            for region, region_category in patch.categories.items()
            if region_category == category
        )
    )
    answer = ""
    if task is Task.REASONING:
        answer = (
            f"The target region belongs to {entry.label}, and the reason is that {entry.reason}."
            if regions
            else "There is no such region in the image."
        )
    return Draft(
        family=family if regions else "absent",
        prompt=Prompt.from_text(text, task),
        regions=regions,
        mask=np.isin(patch.regions, np.array(regions, patch.regions.dtype)),
        category=category,
        writer=WRITER,
        answer=answer,
    )

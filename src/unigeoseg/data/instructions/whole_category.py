"""Instructions for all of a category at once: by its name, by a question, or with nothing to find.

The paper's triplets mean one region each. Who asks for "the buildings" means every one of them, and
who asks for what is not there has to be told so; a model learns both from these.
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
"""By source, names of categories that it does not label and that nothing in it is: whoever chose
its places knows. Some of Nano's sources; of others nothing is known."""

_LEAST_PX = 40  # fewer pixels of a category are not asked for
_BY_FUNCTION = (
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
    sizes = np.bincount(patch.regions.ravel(), minlength=1)
    found: dict[int, int] = {}
    for region, category in patch.categories.items():
        if region < len(sizes):
            found[category] = found.get(category, 0) + int(sizes[region])
    return [
        category
        for category, area in sorted(found.items())
        if area >= _LEAST_PX
        and taxonomy()[category].target
        and category in patch.labelled
        and not any(other != category and _alike(category, other) for other in found)
    ]


def missing_categories(patch: Patch, never: Iterable[int] = ()) -> list[int]:
    """Categories that are certainly not in the patch; none where some of it is unknown.

    Args:
        patch: The patch.
        never: Categories that its source never shows; see `never_shown`.
    """
    if (patch.regions == UNKNOWN_REGION).any():
        return []
    shown = set(patch.categories.values())
    return [
        category
        for category in sorted({*patch.labelled, *never})
        if taxonomy()[category].target and not any(_alike(category, other) for other in shown)
    ]


def never_shown(source: str) -> tuple[int, ...]:
    """Ids of `NEVER_SHOWN`: to ask a source for one has a certain answer, nothing."""
    names = NEVER_SHOWN.get(source, ())
    return tuple(category.id for name in names if (category := category_by_name(name)))


def _alike(asked: int, found: int) -> bool:
    """Whether a region of one category might answer to the name of another."""
    return confusable(asked, found) is not False


def named(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """All of a category by one of its names; nothing if the patch has none."""
    entry = taxonomy()[category]
    text = _request((*entry.plural, entry.label), rng)
    return _draft("category", patch, category, text, Task.REFERRING)


def named_unseen(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """The same by a name that is kept from every generator, to test with."""
    text = _request(taxonomy()[category].held_out.names, rng)
    return _draft("category", patch, category, text, Task.REFERRING)


def asked(
    patch: Patch, category: int, rng: np.random.Generator, *, made: float = 0.0
) -> Draft | None:
    """All of a category by a question that does not name it; None if its questions do.

    Args:
        patch: The patch.
        category: Id in the taxonomy.
        rng: Draws.
        made: Share of questions that ask for what the category does in a set form, so that a
            learner hears more than the few that are written out.
    """
    return _unnamed("question", patch, category, rng, Task.REASONING, made)


def asked_unseen(patch: Patch, category: int, rng: np.random.Generator) -> Draft:
    """The same by a question that is kept from every generator, to test with."""
    text = _any(taxonomy()[category].held_out.questions, rng)
    return _draft("question", patch, category, text, Task.REASONING)


def described(
    patch: Patch, category: int, rng: np.random.Generator, *, made: float = 0.0
) -> Draft | None:
    """The same by a phrase that reads as a reference; None if there is none."""
    return _unnamed("described", patch, category, rng, Task.REFERRING, made)


def _unnamed(  # noqa: PLR0917
    family: Family,
    patch: Patch,
    category: int,
    rng: np.random.Generator,
    task: Task,
    made: float,
) -> Draft | None:
    entry = taxonomy()[category]
    texts: Sequence[str] = entry.questions
    if made and entry.functions and rng.random() < made:
        texts = [by.format(does) for does in entry.functions for by in _BY_FUNCTION]
    plain = [
        text
        for text in texts
        if leaked_word(text, entry) is None
        and (task is Task.REASONING or Prompt.from_text(text).task is task)
    ]
    if not plain:
        return None
    return _draft(family, patch, category, _any(plain, rng), task)


def _request(names: Sequence[str], rng: np.random.Generator) -> str:
    name = _any(names, rng)
    return _any(_REQUESTS, rng).format(name)


def _any(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _draft(family: Family, patch: Patch, category: int, text: str, task: Task) -> Draft:
    entry = taxonomy()[category]
    regions = tuple(sorted(r for r, each in patch.categories.items() if each == category))
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

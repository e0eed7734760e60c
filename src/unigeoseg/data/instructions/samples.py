"""Samples of drafts: an accepted instruction with its mask, as it is stored."""

from collections.abc import Iterable

from unigeoseg.data.instructions.draft import ScoredDraft
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.geo.masks import Rle, encode_mask
from unigeoseg.sample import Sample


def samples_from_drafts(patch: Patch, drafts: Iterable[ScoredDraft]) -> list[Sample]:
    """Drafts as samples of the patch that they were written for."""
    rle_by_regions: dict[tuple[int, ...], Rle] = {}  # several drafts mean the same regions
    samples = []
    for scored in drafts:
        draft = scored.draft
        rle = rle_by_regions.get(draft.regions) or encode_mask(draft.mask)
        if draft.regions:
            rle_by_regions[draft.regions] = rle
        samples.append(_sample(patch, scored, rle))
    return samples


def _sample(patch: Patch, scored: ScoredDraft, rle: Rle) -> Sample:
    draft = scored.draft
    height, width = patch.regions.shape
    return Sample(
        image=patch.id,
        width=width,
        height=height,
        prompt=draft.prompt,
        rle=rle,
        category=taxonomy()[draft.category].name if draft.category else "",
        source=patch.source,
        licence=patch.licence,
        group=patch.group,
        answer=draft.answer,
        family=draft.family,
        category_id=draft.category,
        split=patch.split,
        writer=draft.writer,
        program=draft.program,
        regions=draft.regions,
        scores=scored.scores,
    )

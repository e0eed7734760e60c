"""Templates of reasoning questions, and needs that a relation answers."""

from typing import cast

from unigeoseg.data.programs.grammar import Verbalizer
from unigeoseg.data.programs.phrases import with_names
from unigeoseg.data.programs.program import Expression

# by whether facts of the scene are given; `ask` is a question or a phrase without its mark
ATTRIBUTE_FRAMES = {
    False: (
        "{ask}{mark}",
        "Looking at this scene from above: {ask}{mark}",
        "Consider what can be seen here: {ask}{mark}",
    ),
    True: (
        "{ask}, given that the answer {given}{mark}",
        "{ask}, knowing that the target {given}{mark}",
        "{ask}{mark} Note that it {given}.",
        "{ask}{mark} As a hint, the answer {given}.",
        "Consider the region that {given}: {ask}{mark}",
        "One region in this scene {given}: {ask}{mark}",
    ),
}

CONTEXT_FRAMES = (
    "Of the {count} regions here, each of which {function}, which one {need}?",
    "There are {count} regions in this scene of which each {function}; which of them {need}?",
    "Each of {count} regions in view {function}. Which of these {need}?",
    "If one had to choose among the {count} regions of which each {function}, which one {need}?",
    "Look for what {function}. Among the {count} regions that fit, which one {need}?",
    "{count} regions in this image share a purpose: each {function}. Which of them {need}?",
    "the one of the {count} regions, each of which {function}, that {need}",
)

_NEEDS: dict[str, tuple[str, ...]] = {
    "nearest": (
        "would be reached first by someone who sets out from {a}",
        "lies in the closest reach of {a}",
        "would be the handiest for somebody at {a}",
    ),
    "farthest": (
        "would take the longest to reach for someone who sets out from {a}",
        "is the most remote from {a}",
    ),
    "largest": (
        "offers the most room",
        "would need the largest sheet to cover it",
        "would be chosen if as much space as possible were needed",
    ),
    "smallest": (
        "offers the least room",
        "would need the smallest sheet to cover it",
        "would be the first to be given up if only larger ones were kept",
    ),
    "beside": (
        "could be entered from {a} without crossing anything else",
        "would be affected at once if {a} grew a little wider",
    ),
    "inside": ("could only be reached by crossing {a}",),
    "between": ("would be passed on the straight way from {a} to {b}",),
}


def need_phrase(selection: Expression, verbalizer: Verbalizer) -> str | None:
    """A need that the selected region meets because of how it is selected, as a verb phrase."""
    relation = selection
    if selection.operator == "only":
        relation = cast(Expression, cast(Expression, selection.arguments[0]).arguments[1])
    needs = _NEEDS.get(relation.operator)
    anchors = [part for part in relation.arguments if isinstance(part, Expression)]
    single_regions = [part for part in anchors if part.type == "one"]
    if needs is None or (selection.operator == "only" and len(single_regions) < len(anchors)):
        return None
    names = [verbalizer.noun(part) for part in single_regions]
    return with_names(verbalizer.pick(needs), names)

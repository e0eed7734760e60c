"""Whether one category answers to the name of another."""

from functools import cache

from unigeoseg.data.taxonomy.categories import ancestors, same_or_near


@cache
def confusable(queried: int, actual: int) -> bool | None:
    """Whether a region of category `actual` answers to the name of category `queried`.

    Yes for the category itself, its near-duplicates, and what descends from either; unsure (None)
    for what the queried category descends from.
    """
    if _subsumes(queried, actual):
        return True
    return None if _subsumes(actual, queried) else False


def _subsumes(broad: int, narrow: int) -> bool:
    """Whether a category, or a near-duplicate of it, is another or an ancestor of it."""
    return any(same_or_near(broad, lineal) for lineal in (narrow, *ancestors(narrow)))

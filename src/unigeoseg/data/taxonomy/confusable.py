"""Whether one category answers to the name of another."""

from functools import cache

from unigeoseg.data.taxonomy.categories import ancestors, same_or_near


@cache
def confusable(asked: int, found: int) -> bool | None:
    """Whether a region of category `found` answers to the name of category `asked`.

    Yes for the category itself, its near-duplicates, and what descends from either; unsure for
    what the asked category descends from.
    """
    if _covers(asked, found):
        return True
    return None if _covers(found, asked) else False


def _covers(asked: int, found: int) -> bool:
    return any(same_or_near(asked, each) for each in (found, *ancestors(found)))

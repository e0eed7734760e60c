"""Noun morphology of category names: singular, plural, indefinite article."""

import re

from unigeoseg.data.taxonomy.categories import taxonomy

# adjectives that a name may not start with, since they would compare or count on their own
_COMPARING = re.compile(r"(small|large|single|other|long|low)\b|.*\b(or|and|other|another)\b")
_AFTER_HEAD = re.compile(r" (?:of|in|with|on|at|over|without) ")
_VOWEL = re.compile(r"(?!uni|use|one|eu)[aeiou]|[AEFHILMNORSX][0-9A-Z]", re.ASCII)


def singulars(category: int) -> tuple[str, ...]:
    """Names of one region."""
    entry = taxonomy()[category]
    uncompared = tuple(name for name in entry.singular if not _COMPARING.match(name.lower()))
    return uncompared or entry.singular[:1]


def plurals(category: int) -> tuple[str, ...]:
    """Names of several regions, each countable."""
    entry = taxonomy()[category]
    if entry.kind == "stuff":  # its plurals may be masses: "forest", "water"
        return tuple(map(_plural, singulars(category)))
    uncompared = tuple(name for name in entry.plural if not _COMPARING.match(name.lower()))
    return uncompared or entry.plural[:1]


def with_article(name: str) -> str:
    """A name with "a" or "an"."""
    return f"{'an' if _VOWEL.match(name) else 'a'} {name}"


def _plural(name: str) -> str:
    """A phrase with its head noun in the plural: "area of forest", "areas of forest"."""
    match = _AFTER_HEAD.search(name)
    head, complement = (name[: match.start()], name[match.start() :]) if match else (name, "")
    if re.search(r"(s|x|z|ch|sh)$", head):
        return f"{head}es{complement}"
    if re.search(r"[^aeiou]y$", head):
        return f"{head[:-1]}ies{complement}"
    return f"{head}s{complement}"

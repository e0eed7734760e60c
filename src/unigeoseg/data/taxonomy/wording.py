"""Matching of names in texts: one name in many spellings, one word in many forms.

`normal_form` makes the class names of different datasets comparable. `find_leak` finds whether a
text gives a name away.

It is strict on purpose: a good question that is set aside costs little, a question that names its
answer costs what it was meant to test. A published stemmer (Porter's) is made for search and too
lenient here: it keeps "store" and "storage" apart.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

# Words that are parts of many names and give none of them away alone.
_GENERIC = frozenset(
    """
    a an and at for from in no of on or other out than the to two under up with without
    apart area basin body cover deck facility feature field form ground group growing growth
    land lot machine object parcel part patch piece place plot quarter region row section site
    space stand station stretch strip structure surface terrain tract type unit wing yard zone
    air artificial big bright clear closed compact dark dense double fixed flat green hard heavy
    high large level light little long low main marked mixed moving natural new old open outdoor
    passenger permanent power private public round short single small special standing static tall
    temporary thick thin use white wide wild
    airliner ball bench court district goods indoor jet living people
    person plant play service stage wall work works
    """.split()
)

# Parts of compounds beside the telling word: "waterway" tells of water, "shipyard" of ships.
_COMPOUND_PARTS = tuple(
    """
    bank bed boat craft field front house land line man men park port road scape ship shore side
    stead top water way wood works yard
    """.split()
)

# Of these, the ones that keep their meaning at the end of any longer word: "rainwater", "sailboat".
_COMPOUND_HEADS = ("boat", "house", "road", "water", "wood")

_IRREGULAR = {
    "built": "build",
    "forestry": "forest",
    "icy": "ice",
    "miner": "mine",
    "mining": "mine",
    "plane": "plane",
}

_SHORTEST = 4  # letters of what is left of a compound without its other part

# Endings and the letters that must be left before them, longest first.
_ENDINGS = (
    ("ential", 4),
    ("ation", 4),
    ("ative", 4),
    ("ating", 4),
    ("able", 4),
    ("ated", 4),
    ("ator", 4),
    ("ence", 4),
    ("less", 4),
    ("ment", 4),
    ("ness", 4),
    ("ural", 6),
    ("age", 4),
    ("ate", 4),
    ("ent", 4),
    ("ful", 4),
    ("ial", 4),
    ("ing", 3),
    ("ion", 4),
    ("ist", 4),
    ("ive", 4),
    ("ous", 4),
    ("ure", 6),
    ("al", 5),
    ("ed", 3),
    ("en", 4),
    ("er", 4),
    ("ly", 4),
    ("or", 4),
    ("e", 4),
    ("y", 4),
)


def normal_form(name: str) -> str:
    """One spelling for all spellings of a class name.

    Case, hyphens, underscores, spaces and punctuation do not count, nor does a plural s:
    "Storage-Tanks", "storage_tank" and "storagetank" give the same. A slash reads as "or".

    Returns:
        Letters and digits only; empty if the name has none.
    """
    words = [_singular(word) for word in _words(name.replace("/", " or "))]
    # "houses" loses "s" and "buses" loses "es": without a last e both agree with their singular.
    return "".join(words).removesuffix("e")


def find_leak(text: str, names: Iterable[str], phrases: Iterable[str] = ()) -> str | None:
    """The first word or phrase of a text that is one of the names, or a telling word of them.

    Words are compared by their stems ("irrigated" and "irrigation") and by the parts of compounds
    ("waterway" and "water"). Words that many names share ("field", "area") do not count alone, but
    a name made of nothing else counts as a whole phrase, written as one word or as several.

    Args:
        text: The text to be judged.
        names: All ways to name what the text must not name.
        phrases: Further ways that count only as a whole, because they describe in common words.

    Returns:
        The word or phrase in lower case; None if the text gives no name away.
    """
    words = _words(text)
    names = list(names)
    telling = {form for name in names for word in _words(name) for form in _forms(word)}
    for word in words:
        if (_forms(word) & telling) - _generic_stems():
            return word
    full_names = [*phrases, *(name for name in names if _tells_as_phrase(name))]
    stems = {_joined_stems(_words(name)) for name in full_names}
    return next((" ".join(run) for run in _runs(words) if _joined_stems(run) in stems), None)


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of a lower-case word, shared by its forms and relatives: "stor" for "storage"."""
    word = _singular(word)
    while word not in _IRREGULAR:
        ending = next((end for end, left in _ENDINGS if _strippable(word, end, left)), None)
        if ending is None:
            return word
        word = word.removesuffix(ending)
        if ending in ("ing", "ed", "er") and word[-1] == word[-2] and word[-1] not in "ls":
            word = word[:-1]
    return _IRREGULAR[word]


def _strippable(word: str, ending: str, letters_left: int) -> bool:
    return word.endswith(ending) and len(word) - len(ending) >= letters_left


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("buses", "ches", "shes", "sses", "xes")):
        return word[:-2]
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


@lru_cache(maxsize=20_000)
def _forms(word: str) -> frozenset[str]:
    """Stems of a word and, if it is a compound, of what it is made of."""
    if word.isdigit():
        return frozenset()
    partners = [word.removeprefix(part) for part in _COMPOUND_PARTS]
    partners += [_singular(word).removesuffix(part) for part in _COMPOUND_PARTS]
    stems = {stem(word)} | {stem(partner) for partner in partners if len(partner) >= _SHORTEST}
    return frozenset(stems | {head for head in _COMPOUND_HEADS if _singular(word).endswith(head)})


@lru_cache(maxsize=1)
def _generic_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in _GENERIC)


def _tells_as_phrase(name: str) -> bool:
    """Whether a name tells as a phrase: all do but a single generic word."""
    words = _words(name)
    return len(words) > 1 or not _generic_stems().issuperset(map(stem, words))


def _joined_stems(words: list[str]) -> str:
    return "".join(map(stem, words))


def _runs(words: list[str], longest: int = 5) -> Iterator[list[str]]:
    """Every run of up to `longest` neighbouring words."""
    for start in range(len(words)):
        for end in range(start + 1, min(start + longest, len(words)) + 1):
            yield words[start:end]

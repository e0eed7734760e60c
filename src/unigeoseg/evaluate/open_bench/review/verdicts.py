"""Verdicts of reviewers in SQLite, inter-rater agreement, and which samples enter the benchmark."""

import math
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unigeoseg.errors import DataError, OptionError, OutputUnwritableError
from unigeoseg.prompt import Prompt, Task
from unigeoseg.sample import Sample

Judgement = Literal["accept", "reject"]

REASONS = (
    "mask is wrong",
    "several regions fit",
    "instruction is wrong",
    "instruction is unclear",
    "answer is given away",
    "category is wrong",
    "image is poor",
)
"""Why a sample is rejected; a reviewer takes one, or writes another."""

NEEDED = 2
"""Reviewers who have to accept a sample."""

_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    sample TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    judgement TEXT NOT NULL CHECK (judgement IN ('accept', 'reject')),
    reason TEXT NOT NULL,
    text TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (sample, reviewer)
)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one reviewer on one sample.

    Attributes:
        sample: Its id.
        reviewer: The name of the reviewer.
        judgement: "accept" or "reject".
        reason: Why it was rejected, or empty.
        text: A better text, or empty to leave it.

    Raises:
        OptionError: If a part is missing or of no use.
    """

    sample: str
    reviewer: str
    judgement: Judgement
    reason: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        """Check the parts."""
        if not self.sample or not self.reviewer.strip():
            raise OptionError("a verdict needs a sample and the name of a reviewer")
        if self.judgement not in ("accept", "reject"):
            raise OptionError(f"a verdict is accept or reject, got {self.judgement!r}")
        if (self.judgement == "reject") != bool(self.reason.strip()):
            raise OptionError("a rejection needs a reason, and nothing else has one")


class VerdictStore:
    """A file of verdicts; any number of processes may use it at a time.

    Args:
        path: The SQLite file; it is made if it is not there.

    Raises:
        OutputUnwritableError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as database:
            database.execute(_TABLE)

    def put(self, verdict: Verdict) -> None:
        """Keep a verdict; a later one of the same reviewer replaces it."""
        row = (verdict.sample, verdict.reviewer, verdict.judgement, verdict.reason, verdict.text)
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", (*row, time.time())
            )

    def all(self) -> list[Verdict]:
        """Every verdict, by sample and reviewer."""
        columns = "sample, reviewer, judgement, reason, text"
        with self._open() as database:
            rows = database.execute(
                f"SELECT {columns} FROM verdicts ORDER BY sample, reviewer"
            ).fetchall()
        return [Verdict(*row) for row in rows]

    def of(self, reviewer: str) -> dict[str, Verdict]:
        """The verdicts of one reviewer by sample."""
        return {verdict.sample: verdict for verdict in self.all() if verdict.reviewer == reviewer}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise OutputUnwritableError(f"{self._path} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class Agreement:
    """Inter-rater agreement of two reviewers on the samples that both judged.

    Attributes:
        reviewers: The two.
        shared: Number of samples that both judged.
        agreed: Number of those on which their verdicts are the same.
        kappa: Cohen's kappa; NaN where both gave one and the same verdict to all.
        reasons: How often each reason was given, by either.
    """

    reviewers: tuple[str, str]
    shared: int
    agreed: int
    kappa: float
    reasons: Mapping[str, int]


def reviewer_agreement(verdicts: Iterable[Verdict]) -> Agreement:
    """Agreement of the two reviewers of a file.

    Raises:
        DataError: If there are not two, or they share no sample.
    """
    by_reviewer: defaultdict[str, dict[str, Verdict]] = defaultdict(dict)
    for verdict in verdicts:
        by_reviewer[verdict.reviewer][verdict.sample] = verdict
    if len(by_reviewer) != NEEDED:
        raise DataError(f"agreement is of two reviewers, the file has {len(by_reviewer)}")
    names = sorted(by_reviewer)
    first, second = (by_reviewer[name] for name in names)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise DataError(f"{' and '.join(names)} judged no sample in common yet")
    pairs = [(first[sample].judgement, second[sample].judgement) for sample in shared]
    reasons = Counter(
        verdict.reason
        for sample in shared
        for verdict in (first[sample], second[sample])
        if verdict.reason
    )
    agreed = sum(a == b for a, b in pairs)
    return Agreement(
        (names[0], names[1]), len(shared), agreed, cohen_kappa(pairs), dict(reasons.most_common())
    )


def cohen_kappa(pairs: Iterable[tuple[str, str]]) -> float:
    """Cohen's kappa of pairs of verdicts: agreement beyond what chance gives.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960. NaN without pairs, or where
    chance alone agrees always.
    """
    counted = Counter(pairs)
    total = counted.total()
    if not total:
        return math.nan
    observed = sum(count for (a, b), count in counted.items() if a == b) / total
    expected = 0.0
    for judgement in {judgement for pair in counted for judgement in pair}:
        marginals = [
            sum(count for pair, count in counted.items() if pair[rater] == judgement)
            for rater in (0, 1)
        ]
        expected += marginals[0] * marginals[1] / total**2
    return math.nan if expected == 1 else (observed - expected) / (1 - expected)


def accepted_samples(samples: Iterable[Sample], verdicts: Iterable[Verdict]) -> Iterator[Sample]:
    """Samples that two reviewers accepted, none rejected, and all want in the same words.

    A better text takes the place of the old one; the sample's id changes with it.
    """
    by_sample: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_sample[verdict.sample].append(verdict)
    for sample in samples:
        judged = by_sample.get(sample.id, [])
        texts = {verdict.text.strip() for verdict in judged}
        unanimous = all(verdict.judgement == "accept" for verdict in judged)
        if len(judged) >= NEEDED and unanimous and len(texts) == 1:
            yield _reworded(sample, texts.pop())


def _reworded(sample: Sample, text: str) -> Sample:
    if not text or sample.prompt.task is Task.INTERACTIVE:
        return sample
    prompt = Prompt.from_text(text, sample.prompt.task)
    return replace(sample, prompt=prompt, writer=f"{sample.writer}, reviewed", program="")

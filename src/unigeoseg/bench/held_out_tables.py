"""Results on held-out images as Markdown tables."""

from collections.abc import Iterator

from unigeoseg.bench.evaluate import Results
from unigeoseg.bench.held_out import HELD_OUT_COUNTS
from unigeoseg.bench.metrics import GIOU
from unigeoseg.bench.predictors import BASELINES


def table(results: Results, name: str) -> str:
    """A row per family: the system's scores, and the baselines that can answer it."""
    lines = [
        "| family | samples | gIoU (95 % interval) | cIoU | Pr@0.5 | Pr@0.7 | baselines, gIoU |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in HELD_OUT_COUNTS:
        scores = results.scores(name, family)
        if not len(scores):
            continue
        low, high = scores.interval(GIOU)
        lines.append(
            f"| {family} | {len(scores)} | {scores.giou:.3f} ({low:.3f} to {high:.3f}) "
            f"| {scores.ciou:.3f} | {scores.precision_at(0.5):.3f} "
            f"| {scores.precision_at(0.7):.3f} | {', '.join(_baselines(results, family))} |"
        )
    return "\n".join(lines)


def table_by_source(results: Results, name: str) -> str:
    """A row per source, a column per family: the system's gIoU and the number of samples."""
    families = [family for family in HELD_OUT_COUNTS if len(results.scores(name, family))]
    lines = [
        f"| source | {' | '.join(families)} |",
        f"|---|{'---|' * len(families)}",
    ]
    for source in results.sources:
        cells = []
        for family in families:
            scores = results.scores(name, family, source)
            cells.append(f"{scores.giou:.2f} ({len(scores)})" if len(scores) else "")
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _baselines(results: Results, family: str) -> Iterator[str]:
    for system, baseline in BASELINES.items():
        if baseline.family == family:
            yield f"{system} {results.scores(system, family).giou:.3f}"

"""Random samples of a dataset to look at: a self-contained page, or a contact sheet as PNG."""

import base64
import hashlib
import heapq
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.geo.png import encode_png
from unigeoseg.report.overlay import draw_sample
from unigeoseg.report.pages import page_environment
from unigeoseg.report.sheet import Card, contact_sheet
from unigeoseg.runtime.atomic import write_bytes
from unigeoseg.sample import Sample

SUFFIXES = (".html", ".png")

Overlay = tuple[Sample, NDArray[np.uint8]]
"""A sample, and its image (H, W, 3) with the mask outlined."""


def save_samples(
    dataset: Dataset,
    path: Path,
    *,
    count: int = 16,
    seed: int = 0,
    families: Collection[str] = (),
) -> None:
    """Write random samples by the path's suffix: image with the target's outline, words, answer.

    Args:
        dataset: Where they come from.
        path: A page (.html) or a contact sheet (.png).
        count: How many.
        seed: Which ones.
        families: Of these alone; all without.

    Raises:
        OutputFormatError: If the suffix is another one.
        DataError: If there is no triplet, or a shard is damaged.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, SUFFIXES)
    samples = pick_samples(dataset, count=count, seed=seed, families=families)
    overlays = [(sample, draw_sample(dataset.image(sample.image), sample)) for sample in samples]
    if path.suffix.lower() == ".png":
        cards = [sample_card(sample, picture) for sample, picture in overlays]
        write_bytes(path, encode_png(contact_sheet(cards)))
    else:
        write_bytes(path, samples_page(overlays, str(dataset.path.name)).encode())


def pick_samples(
    dataset: Dataset, *, count: int, seed: int, families: Collection[str] = ()
) -> list[Sample]:
    """Random samples, the same for the same seed.

    Raises:
        DataError: If there is none.
    """

    def rank(sample: Sample) -> bytes:
        return hashlib.sha256(f"{seed}/{sample.id}".encode()).digest()

    candidates = (
        sample for sample in dataset.samples() if not families or sample.family in families
    )
    samples = heapq.nsmallest(count, candidates, key=rank)
    if not samples:
        condition = f" of {' or '.join(families)}" if families else ""
        available = ", ".join(dataset.summary.families) or "none at all"
        raise DataError(f"{dataset.path} has no triplets{condition} to show; it has {available}")
    return samples


def samples_page(overlays: Iterable[Overlay], title: str) -> str:
    """An HTML page that needs nothing but itself; every text is escaped."""
    environment = page_environment("unigeoseg.data.inspect")
    figures = [_figure_values(sample, picture) for sample, picture in overlays]
    return environment.get_template("samples.html.j2").render(title=title, figures=figures)


def _figure_values(sample: Sample, picture: NDArray[np.uint8]) -> dict[str, str]:
    """What the template shows of a sample."""
    origin = (sample.family, sample.category, sample.source, sample.licence, sample.split)
    return {
        "png": base64.b64encode(encode_png(picture)).decode(),
        "instruction": sample.prompt.instruction(sample.width, sample.height),
        "answer": sample.answer,
        "origin": " · ".join(filter(None, origin)),
        "id": sample.id,
        "program": sample.program,
    }


def sample_card(sample: Sample, picture: NDArray[np.uint8]) -> Card:
    """A sample with its instruction and answer, whole, as a card of a contact sheet."""
    instruction = sample.prompt.instruction(sample.width, sample.height)
    answer = [f"-> {sample.answer}"] if sample.answer else []
    return Card([picture], [instruction, *answer])

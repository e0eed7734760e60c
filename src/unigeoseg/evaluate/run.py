"""Prediction runs: a system over a suite, a line per prediction, resumed where a run was stopped.

No truth reaches a system: samples become `Questions`, which have no field for it, and a system
gets nothing else.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from unigeoseg.errors import (
    DataError,
    OptionError,
    PromptError,
    UniGeoSegError,
)
from unigeoseg.evaluate.predictions import Prediction, PredictionFile
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.evaluate.systems.registry import load_system
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.atomic import append_lines, remove_cut_line, write_json
from unigeoseg.runtime.records import record_from_json, record_values
from unigeoseg.runtime.workers import Engine, run_units
from unigeoseg.sample import Sample

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of samples done and of all."""


@dataclass(frozen=True, slots=True)
class Questions:
    """The prompts of one image, without any truth.

    Attributes:
        image: Its name in the suite.
        ids: Of the samples.
        prompts: One per id.
    """

    image: str
    ids: tuple[str, ...]
    prompts: tuple[Prompt, ...]


def questions_by_image(samples: Iterable[Sample]) -> list[Questions]:
    """Samples as questions by image, in the order in which images come first; each id once."""
    images: dict[str, dict[str, Prompt]] = {}
    for sample in samples:
        images.setdefault(sample.image, {})[sample.id] = sample.prompt
    return [
        Questions(image, tuple(prompts), tuple(prompts.values()))
        for image, prompts in images.items()
    ]


@dataclass(frozen=True, slots=True)
class RunCard:
    """Provenance of a file of predictions; written beside it.

    Attributes:
        suite: Name of the suite.
        model: Name of the system.
        words: Whether it answers in words as well.
    """

    suite: str
    model: str
    words: bool = False


@dataclass(frozen=True)
class ImageAnswerer:
    """A worker that answers the questions on one image, in any process.

    Attributes:
        layout: Where pixels come from.
        card: Which system.
    """

    layout: Layout
    card: RunCard

    def __call__(self, questions: Questions) -> tuple[int, list[str]]:
        """The number of questions, and the lines of the predictions."""
        try:
            predictions = list(self._predictions(questions))
        except UniGeoSegError as error:
            log.warning("%s: no prediction: %s", questions.image, error)
            predictions = []
        return len(questions.ids), [prediction.line() for prediction in predictions]

    def _predictions(self, questions: Questions) -> Iterator[Prediction]:
        predict = load_system(self.card.model, words=self.card.words)
        pixels = self.layout.pixels(questions.image)
        height, width = pixels.shape[:2]
        usable = list(_usable(questions, width, height))
        began = time.perf_counter()
        answers = predict(pixels, [prompt for _, prompt in usable]) if usable else []
        seconds = (time.perf_counter() - began) / max(len(usable), 1)
        for (name, _), answer in zip(usable, answers, strict=True):
            if answer is not None:
                yield Prediction.of(name, answer, seconds)


def _usable(questions: Questions, width: int, height: int) -> Iterator[tuple[str, Prompt]]:
    """Ids and prompts that lie on the image; for others a warning is logged."""
    for name, prompt in zip(questions.ids, questions.prompts, strict=True):
        try:
            yield name, _off_edge(prompt, width, height).clipped(width, height)
        except PromptError as error:
            log.warning("%s: no prediction: %s", name, error)


def _off_edge(prompt: Prompt, width: int, height: int) -> Prompt:
    """Points on the right or lower edge moved to the last pixel: a text rounds 0.9996 to 1.000."""
    points = tuple(
        replace(
            point,
            x=width - 0.5 if point.x == width else point.x,
            y=height - 0.5 if point.y == height else point.y,
        )
        for point in prompt.points
    )
    return replace(prompt, points=points)


def _available(layout: Layout) -> Iterator[Sample]:
    """The samples of a suite whose files are there; a warning says what is missing."""
    try:
        yield from layout.samples()
    except DataError as error:
        log.warning("%s", error)


def run_suite(
    layout: Layout,
    out: Path,
    card: RunCard,
    *,
    engine: Engine = "local",
    workers: int = 1,
    partial: bool = False,
    progress: Progress = lambda count, total: None,
) -> int:
    """Write the predictions of a system, or go on with a file of the same run.

    Args:
        layout: The suite.
        out: The file; lines are added to it, `out`.run.json says what made it.
        card: The system and the suite.
        engine: Processes of this machine, or a Ray cluster.
        workers: How many at a time.
        partial: Take the samples that can be read of a suite whose files are not whole.
        progress: Called as samples are done.

    Returns:
        How many samples have no prediction in the end.

    Raises:
        OptionError: If the file is of another run.
        DataError: If the suite's files are not whole, and `partial` does not allow it.
        OutputUnwritableError: If it cannot be written.
    """
    if workers == 1:  # a name without a system fails before a file is made
        load_system(card.model, words=card.words)
    answered = _resume(out, card)
    images = questions_by_image(_available(layout) if partial else layout.samples())
    total = sum(len(questions.ids) for questions in images)
    remaining = [_without(questions, answered) for questions in images]
    todo = [questions for questions in remaining if questions.ids]
    count = predicted = len(answered)
    progress(count, total)
    results = run_units(ImageAnswerer(layout, card), todo, engine=engine, workers=workers)
    append_lines(out, [])  # a file that cannot be written is known before any work
    for number, lines in results:
        append_lines(out, [line.removesuffix("\n") for line in lines])
        count, predicted = count + number, predicted + len(lines)
        progress(count, total)
    return total - predicted


def _without(questions: Questions, answered: set[str]) -> Questions:
    pairs = zip(questions.ids, questions.prompts, strict=True)
    open_pairs = [(name, prompt) for name, prompt in pairs if name not in answered]
    return replace(
        questions,
        ids=tuple(name for name, _ in open_pairs),
        prompts=tuple(prompt for _, prompt in open_pairs),
    )


def _resume(out: Path, card: RunCard) -> set[str]:
    """Ids that are answered already; a line that was cut when a run was killed is removed."""
    if not out.exists():
        write_json(run_card_path(out), record_values(card))
        return set()
    earlier = read_run_card(out)
    if earlier != card:
        raise OptionError(f"{out} was made by {earlier}, not by {card}; name another file")
    remove_cut_line(out)
    return set(PredictionFile.open(out).predictions)


def run_card_path(out: Path) -> Path:
    """The file beside a file of predictions that says what made it."""
    return out.with_name(f"{out.name}.run.json")


def read_run_card(out: Path) -> RunCard | None:
    """Provenance of a file of predictions; None if it has none.

    Raises:
        DataError: If the file of the provenance is damaged.
    """
    path = run_card_path(out)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        return record_from_json(RunCard, content, path.name)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}; remove it") from error

"""Run a system over a suite: a line per prediction, resumed where a run was stopped.

Here is the wall between a system and the truth: samples become `Questions`, which have no field
for it, and nothing else goes on.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
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
from unigeoseg.runtime.workers import Engine, run_units
from unigeoseg.sample import Sample

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of samples done and of all."""


@dataclass(frozen=True, slots=True)
class Questions:
    """All that is asked on one image, and nothing of what is true.

    Attributes:
        image: Its name in the suite.
        ids: Of the samples.
        prompts: What is asked, one per id.
    """

    image: str
    ids: tuple[str, ...]
    prompts: tuple[Prompt, ...]


def questions_by_image(samples: Iterable[Sample]) -> list[Questions]:
    """What is asked, by image, in the order in which images come first; each id once."""
    found: dict[str, dict[str, Prompt]] = {}
    for sample in samples:
        found.setdefault(sample.image, {})[sample.id] = sample.prompt
    return [Questions(image, tuple(asked), tuple(asked.values())) for image, asked in found.items()]


@dataclass(frozen=True, slots=True)
class RunCard:
    """What a file of predictions was made by; written beside it.

    Attributes:
        suite: Name of the suite.
        model: Name of the system.
        words: Whether it was asked for words.
    """

    suite: str
    model: str
    words: bool = False


@dataclass(frozen=True)
class ImageAnswerer:
    """Answers the questions on one image, in any process.

    Attributes:
        layout: Where pixels come from.
        run: Which system.
    """

    layout: Layout
    run: RunCard

    def __call__(self, asked: Questions) -> tuple[int, list[str]]:
        """How many questions there were, and the lines of those that were answered."""
        try:
            answers = list(self._answers(asked))
        except UniGeoSegError as error:
            log.warning("%s: no prediction: %s", asked.image, error)
            answers = []
        return len(asked.ids), [each.line() for each in answers]

    def _answers(self, asked: Questions) -> Iterator[Prediction]:
        predict = load_system(self.run.model, words=self.run.words)
        pixels = self.layout.pixels(asked.image)
        height, width = pixels.shape[:2]
        usable = list(_usable(asked, width, height))
        began = time.perf_counter()
        answers = predict(pixels, [prompt for _, prompt in usable]) if usable else []
        seconds = (time.perf_counter() - began) / max(len(usable), 1)
        for (name, _), answer in zip(usable, answers, strict=True):
            if answer is not None:
                yield Prediction.of(name, answer, seconds)


def _usable(asked: Questions, width: int, height: int) -> Iterator[tuple[str, Prompt]]:
    """Ids and prompts that are on the image; the others are noted and have no prediction."""
    for name, prompt in zip(asked.ids, asked.prompts, strict=True):
        try:
            yield name, _from_edge(prompt, width, height).clipped(width, height)
        except PromptError as error:
            log.warning("%s: no prediction: %s", name, error)


def _from_edge(prompt: Prompt, width: int, height: int) -> Prompt:
    """Points on the right or lower edge as the last pixel: a text rounds 0.9996 to 1.000."""
    points = tuple(
        replace(
            point,
            x=width - 0.5 if point.x == width else point.x,
            y=height - 0.5 if point.y == height else point.y,
        )
        for point in prompt.points
    )
    return replace(prompt, points=points)


def _there(layout: Layout) -> Iterator[Sample]:
    """The samples of a suite whose files are there; what is not is said."""
    try:
        yield from layout.samples()
    except DataError as error:
        log.warning("%s", error)


def run_suite(
    layout: Layout,
    out: Path,
    about: RunCard,
    *,
    engine: Engine = "local",
    workers: int = 1,
    partial: bool = False,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write the predictions of a system, or go on with a file of the same run.

    Args:
        layout: The suite.
        out: The file; lines are added to it, `out`.run.json says what made it.
        about: What makes it.
        engine: Processes of this machine, or a Ray cluster.
        workers: How many at a time.
        partial: Take what is there of a suite whose files are not whole.
        progress: Called as samples are done.

    Returns:
        How many samples have no prediction in the end.

    Raises:
        OptionError: If the file is of another run.
        DataError: If the suite's files are not whole, and that was not allowed for.
        OutputUnwritableError: If it cannot be written.
    """
    load_system(about.model, words=about.words) if workers == 1 else None
    done = _resumed(out, about)
    asked = questions_by_image(_there(layout) if partial else layout.samples())
    total = sum(len(each.ids) for each in asked)
    todo = [left for each in asked if (left := _without(each, done)).ids]
    count = len(done)
    progress(count, total)
    written = len(done)
    results = run_units(ImageAnswerer(layout, about), todo, engine=engine, workers=workers)
    append_lines(out, [])  # a file that cannot be written is known before any work
    for number, lines in results:
        append_lines(out, [line.removesuffix("\n") for line in lines])
        count, written = count + number, written + len(lines)
        progress(count, total)
    return total - written


def _without(asked: Questions, done: set[str]) -> Questions:
    left = [pair for pair in zip(asked.ids, asked.prompts, strict=True) if pair[0] not in done]
    return replace(
        asked, ids=tuple(name for name, _ in left), prompts=tuple(prompt for _, prompt in left)
    )


def _resumed(out: Path, about: RunCard) -> set[str]:
    """Ids that are answered already; a line that was cut when a run was killed is removed."""
    card = run_card_path(out)
    if not out.exists():
        write_json(card, asdict(about))
        return set()
    found = read_run_card(out)
    if found != about:
        raise OptionError(f"{out} was made by {found}, not by {about}; name another file")
    remove_cut_line(out)
    return set(PredictionFile.open(out).offsets)


def run_card_path(out: Path) -> Path:
    """The file beside a file of predictions that says what made it."""
    return out.with_name(f"{out.name}.run.json")


def read_run_card(out: Path) -> RunCard | None:
    """What made a file of predictions; None if nothing says so."""
    try:
        return RunCard(**json.loads(run_card_path(out).read_text(encoding="utf-8")))
    except OSError:
        return None
    except (TypeError, ValueError) as error:
        raise DataError(f"{run_card_path(out)} is damaged: {error}; remove it") from error

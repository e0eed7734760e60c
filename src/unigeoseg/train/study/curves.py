"""Learning curves of trainings, from their metrics logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unigeoseg.errors import DataError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.prompt import Task
from unigeoseg.report.figure import new_figure, save_figure
from unigeoseg.train.metrics_log import CSV, PROMPTS, read_metrics_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps (N,) and values (N,)."""

_TASKS = tuple(f"val/{task}" for task in Task)
_LINE_STYLES = ("-", "--", ":", "-.")  # of runs; metrics differ in colour
_WINDOWS = 20  # the loss is smoothed over one of so many parts of its series


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The metrics of one run over its steps.

    Attributes:
        name: Name of its folder.
        series: Each metric by its name, in the order of steps.
    """

    name: str
    series: Mapping[str, Series]

    @classmethod
    def of(cls, directory: Path) -> "Curves":
        """Read the metrics log in the folder of a run.

        Raises:
            DataError: If there is none, or it is damaged or has no loss yet.
        """
        metrics: dict[str, dict[int, float]] = {}
        for step, name, value in read_metrics_log(directory):
            metrics.setdefault(name, {})[step] = value
        if "loss" not in metrics:
            raise DataError(
                f"{directory / CSV} has no loss yet; the first is written at step 10, so train on"
            )
        series = {
            name: (
                np.array(sorted(values), float),
                np.array([values[step] for step in sorted(values)]),
            )
            for name, values in metrics.items()
        }
        return cls(directory.resolve().name, series)

    @property
    def parts(self) -> list[str]:
        """Names of the parts of the loss."""
        not_parts = ("loss", PROMPTS)
        return [
            name
            for name in self.series
            if name not in not_parts and not name.startswith("val/") and not name.endswith("_per_s")
        ]

    def prompts_at(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prompts of all steps up to each of some steps (N,), interpolated linearly."""
        logged_steps, prompts = self.series[PROMPTS]
        return np.asarray(np.interp(steps, [0, *logged_steps], [0, *prompts]))


def save_learning_curves(runs: Sequence[Curves], path: Path) -> None:
    """Save a figure of the parts of the loss, smoothed, and gIoU per task on val views.

    The x axis is the number of prompts if all logs have it, else the number of steps.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputFormatError: If the suffix is not .png.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, (".png",))
    figure = new_figure("learning curves", 9, 3.8)
    losses, scores = figure.subplots(1, 2)
    by_prompts = all(PROMPTS in run.series for run in runs)
    parts = sorted({part for run in runs for part in run.parts})
    for number, run in enumerate(runs):
        style = _LINE_STYLES[number % len(_LINE_STYLES)]
        _plot(losses, run, parts, style, by_prompts=by_prompts, smooth=True)
        _plot(scores, run, _TASKS, style, by_prompts=by_prompts, smooth=False)
    x_label = "prompts seen" if by_prompts else "steps"
    losses.set(xlabel=x_label, ylabel="part of the loss, smoothed", ylim=(0, None))
    scores.set(xlabel=x_label, ylabel="gIoU on val views", ylim=(0, 1))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    save_figure(figure, path)


def _plot(
    axes: "Axes",
    run: Curves,
    names: Sequence[str],
    style: str,
    *,
    by_prompts: bool,
    smooth: bool,
) -> None:
    for colour, name in enumerate(names):
        if name in run.series:
            steps, values = smoothed(run.series[name]) if smooth else run.series[name]
            x = run.prompts_at(steps) if by_prompts else steps
            label = f"{run.name}: {name.removeprefix('val/')}"
            marker = "" if smooth else "."
            axes.plot(x, values, style, color=f"C{colour}", label=label, marker=marker)


def smoothed(series: Series) -> Series:
    """Moving average of a series over a twentieth of its length."""
    width = max(1, len(series[0]) // _WINDOWS)
    kernel = np.ones(width) / width
    steps, values = (np.convolve(axis, kernel, "valid") for axis in series)
    return steps, values

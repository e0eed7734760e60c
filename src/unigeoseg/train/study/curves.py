"""Learning curves of trainings: what their records say, drawn."""

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
from unigeoseg.train.metrics_log import CSV, PROMPTS, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps (N,) and values (N,)."""

_TASKS = tuple(f"val/{task}" for task in Task)
_STYLES = ("-", "--", ":", "-.")  # of runs; what is shown has the colour
_SHARE = 20  # the loss is smoothed over this part of what there is of it


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The record of one run.

    Attributes:
        name: Of its folder.
        series: By name, in the order of steps.
    """

    name: str
    series: Mapping[str, Series]

    @classmethod
    def of(cls, directory: Path) -> "Curves":
        """Read the record in the folder of a run.

        Raises:
            DataError: If there is none, or it is damaged or has no loss yet.
        """
        found: dict[str, dict[int, float]] = {}
        for step, name, value in read(directory):
            found.setdefault(name, {})[step] = value
        if "loss" not in found:
            raise DataError(
                f"{directory / CSV} has no loss yet; the first is written at step 10, so train on"
            )
        series = {
            name: (np.array(sorted(values), float), np.array([values[at] for at in sorted(values)]))
            for name, values in found.items()
        }
        return cls(directory.resolve().name, series)

    @property
    def parts(self) -> list[str]:
        """Names of the parts of the loss."""
        others = ("loss", PROMPTS)
        return [
            name
            for name in self.series
            if name not in others and not name.startswith("val/") and not name.endswith("_per_s")
        ]

    def seen(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prompts before each of the steps, between recorded ones in proportion."""
        known, prompts = self.series[PROMPTS]
        return np.asarray(np.interp(steps, [0, *known], [0, *prompts]))


def draw(runs: Sequence[Curves], path: Path) -> None:
    """Draw the parts of the loss, smoothed, and gIoU per task on val views, as an image.

    They lie over the prompts seen if all records tell them, else over the steps.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputFormatError: If the suffix is not .png.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, (".png",))
    drawn = new_figure("learning curves", 9, 3.8)
    losses, scores = drawn.subplots(1, 2)
    by_prompts = all(PROMPTS in run.series for run in runs)
    parts = sorted({part for run in runs for part in run.parts})
    for number, run in enumerate(runs):
        style = _STYLES[number % len(_STYLES)]
        _add(losses, run, parts, style, by_prompts=by_prompts, smooth=True)
        _add(scores, run, _TASKS, style, by_prompts=by_prompts, smooth=False)
    along = "prompts seen" if by_prompts else "steps"
    losses.set(xlabel=along, ylabel="part of the loss, smoothed", ylim=(0, None))
    scores.set(xlabel=along, ylabel="gIoU on val views", ylim=(0, 1))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    save_figure(drawn, path)


def _add(
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
            along = run.seen(steps) if by_prompts else steps
            label = f"{run.name}: {name.removeprefix('val/')}"
            marker = "" if smooth else "."
            axes.plot(along, values, style, color=f"C{colour}", label=label, marker=marker)


def smoothed(series: Series) -> Series:
    """The mean of each twentieth of a series, at its middle, moved along value by value."""
    width = max(1, len(series[0]) // _SHARE)
    kernel = np.ones(width) / width
    steps, values = (np.convolve(each, kernel, "valid") for each in series)
    return steps, values

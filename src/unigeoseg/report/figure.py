"""Figures by matplotlib, where it is installed."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from unigeoseg.errors import MissingExtraError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.runtime.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(subject: str, width: float, height: float) -> "Figure":
    """A figure to draw on.

    Args:
        subject: What it shows, for the message.
        width: In inches.
        height: In inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(subject, "plot") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the format that the suffix names, PNG without one.

    Raises:
        OutputFormatError: If no format has that suffix.
        OutputUnwritableError: If it cannot be written.
    """
    if path.suffix:
        check_suffix(path, [f".{name}" for name in figure.canvas.get_supported_filetypes()])
    buffer = BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower() or "png", dpi=120)
    write_bytes(path, buffer.getvalue())

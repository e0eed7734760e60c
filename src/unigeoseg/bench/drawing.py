"""Drawn curves, with matplotlib where it is installed."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from unigeoseg.data.files import write_bytes
from unigeoseg.errors import MissingExtraError, OutputFormatError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank(what: str, width: float, height: float) -> "Figure":
    """A figure to draw on.

    Args:
        what: What is drawn, for the message.
        width: In inches.
        height: In inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(what, "plot") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", path: Path) -> None:
    """Write a figure in the format that the suffix names, PNG without one.

    Raises:
        OutputFormatError: If no format has that suffix.
        OutputUnwritableError: If it cannot be written.
    """
    suffix = path.suffix[1:].lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise OutputFormatError(f"{path} ends in .{suffix}, expected one of {', '.join(known)}")
    drawn = BytesIO()
    figure.savefig(drawn, format=suffix, dpi=120)
    write_bytes(path, drawn.getvalue())

"""Discovery of labelled sets in a folder."""

from pathlib import Path

from unigeoseg.data.sources.readers.declared import DECLARATION, META


def labelled_sets_in(folder: Path) -> list[Path]:
    """A folder that declares its data, or the folders in it that do; the folder if none does."""
    if any((folder / name).is_file() for name in (DECLARATION, META)):
        return [folder]
    within = {path.parent for name in (DECLARATION, META) for path in folder.glob(f"*/{name}")}
    return sorted(within) or [folder]

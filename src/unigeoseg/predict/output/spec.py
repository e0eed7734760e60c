"""What is to be written of a scene, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rasterio.crs import CRS

from unigeoseg.errors import OptionError
from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.output.schema import ANSWER, COLUMNS, PromptEntry, mask_tags

MIN_AREA_PX = 4
"""Regions of fewer pixels are specks, of which no outline is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """How results are written, whatever the prompt.

    Attributes:
        threshold: Scores above it are in the mask.
        crs: CRS of outlines, but for GeoJSON; None for the scene's own.
        min_area_m2: Smaller regions make no outline.
        min_area_px: Neither do those of fewer pixels.
        simplify_m: Outlines keep within about so many metres (pixels without a CRS), and edges
            that two regions share stay shared; 0 keeps the pixels' edges.
        regularise_m: Outlines become those of buildings, see `regularise_outlines`; 0 leaves them.
        instances: One feature per region; else one per prompt.
        tags: Further tags of the masks, beside those of `schema.mask_tags`.
    """

    threshold: float = 0.5
    crs: CRS | None = None
    min_area_m2: float = 0.0
    min_area_px: int = MIN_AREA_PX
    simplify_m: float = 0.0
    regularise_m: float = 0.0
    instances: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the outlines are made one way."""
        if self.regularise_m and self.simplify_m:
            raise OptionError(
                "--regularise straightens each object by itself, and --simplify keeps the edges "
                "that objects share; leave out --simplify, or --regularise"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """What is to be written of a scene.

    Attributes:
        paths: Files, each by its suffix; `check_output` was called on each.
        grid: Of the scene.
        area: Results are limited to it, and masks cover its window.
        config: How.
        entries: Of the prompts, in their order.
        provenance: What makes the results.
        labelled: Whether masks give each prompt a label of its own, from 1, and a pixel to the one
            that scores most. Else masks are 1 where any prompt's target is, and outlines of
            different prompts may overlap.
        answered: Whether prompts are answered in words, too.
    """

    paths: Sequence[Path]
    grid: Grid
    area: Area
    config: OutputConfig
    entries: Sequence[PromptEntry]
    provenance: Provenance
    labelled: bool
    answered: bool = False

    @property
    def columns(self) -> dict[str, type]:
        """Types of the columns of outlines, but for those of a file of prompts."""
        answer = [ANSWER] if self.answered else []
        return {column.name: column.kind for column in (*COLUMNS, *answer)}

    @property
    def tags(self) -> dict[str, str]:
        """Of the masks."""
        tags = mask_tags(self.entries, self.provenance, labelled=self.labelled)
        return tags | dict(self.config.tags)

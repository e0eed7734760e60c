"""Comparisons with recorded values, and the table of the worst."""

import re
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

TENSOR = 1e-4  # absolute, also of losses
GRADIENT = 1e-3  # relative, of norms
METRIC = 1e-6  # recorded in float32
EXACT = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison.

    Attributes:
        case: Folder or file it belongs to.
        name: What was compared.
        difference: Largest absolute difference, relative for a gradient's norm; infinite where
            there is nothing of ours or the shapes differ.
        tolerance: The most that passes.
        intended: Whether we differ on purpose here; such a row is shown and does not count.
    """

    case: str
    name: str
    difference: float
    tolerance: float
    intended: bool = False

    @property
    def passed(self) -> bool:
        """Whether the difference is tolerable or intended; not a number is neither."""
        return self.difference <= self.tolerance or (self.intended and isfinite(self.difference))

    @property
    def group(self) -> str:
        """The name without what tells prompts or weights apart."""
        name = self.name.partition(":")[0]
        group = re.sub(r"^((tate|seg|eval_seg|train\.match)\..+)\.\d+$", r"\1", name)
        return f"{group} (on purpose)" if self.intended else group


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All comparisons, and remarks on what differs by design."""

    rows: tuple[Comparison, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there was something to compare and all of it is within tolerance."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def worst(self) -> dict[str, Comparison]:
        """The worst row of each group."""
        worst: dict[str, Comparison] = {}
        for row in self.rows:
            worst_yet = worst.get(row.group)
            if worst_yet is None or (
                worst_yet.passed and not row.difference <= worst_yet.difference
            ):
                worst[row.group] = row
        return worst

    def table(self) -> str:
        """The worst difference of each group, the failures apart, as text."""
        lines = [f"{'compared':54} {'worst':>9} {'allowed':>9}  in"]
        for name, row in sorted(self.worst().items()):
            allowed = "-" if row.intended else f"{row.tolerance:.0e}"
            verdict = "" if row.passed else "  FAILED"
            lines.append(f"{name:54} {row.difference:9.2e} {allowed:>9}  {row.case}{verdict}")
        failed = [row for row in self.rows if not row.passed]
        intended = sum(row.intended for row in self.rows)
        lines += [f"FAILED {row.case} {row.name}: {row.difference:.3g}" for row in failed]
        lines += self.remarks
        counts = f"{len(self.rows) - intended} comparisons, {len(failed)} failed"
        return "\n".join([*lines, f"{counts}; {intended} more differ on purpose"])


def compare_tensors(
    case: str, name: str, computed: Tensor | None, golden: Tensor, *, intended: bool = False
) -> Comparison:
    """Compare one tensor, whole numbers and masks exactly; axes of length 1 do not matter."""
    exact = not golden.is_floating_point() or name.startswith("eval_seg.pred_masks")
    tolerance = EXACT if exact else TENSOR
    if computed is None or computed.squeeze().shape != golden.squeeze().shape:
        return Comparison(case, name, torch.inf, tolerance, intended)
    differences = (computed.reshape(golden.shape).double() - golden.double()).abs()
    largest = differences.max().item() if differences.numel() else 0.0
    return Comparison(case, name, largest, tolerance, intended)

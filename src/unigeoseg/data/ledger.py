"""Rejections: what the data engine dropped, where and why."""

from collections.abc import Callable
from dataclasses import dataclass

from unigeoseg.errors import DataError


@dataclass(frozen=True, slots=True)
class Rejection:
    """One image, region, text or file that was dropped.

    Attributes:
        stage: Where it was dropped: "read", "patch", "candidate", "rule", "judge", "write",
            "score", "cap", "duplicate", "leak" or "merge".
        rule: Which rule it broke, such as "area_share".
        source: Name of the catalogue's row.
        key: Path of the image below the source's directory.
        detail: The place, region or text that was dropped, or an error's message.
        value: The measured value, or None.
        limit: The rule's limit, or None.
    """

    stage: str
    rule: str
    source: str
    key: str
    detail: str = ""
    value: float | None = None
    limit: float | None = None


Measurement = tuple[float | None, float | None]
"""The value that broke a rule and the rule's limit, where there is a number."""

RejectionHandler = Callable[[Rejection], None]
"""Records a rejection; stages call it and go on."""


class StrictError(DataError):
    """The first source or image that cannot be read, in a build that stops there."""


def raise_rejection(rejection: Rejection) -> None:
    """Raise a rejection as an error: the end of a strict build.

    Raises:
        StrictError: Always.
    """
    image = f"{rejection.key}: " if rejection.key else ""
    raise StrictError(
        f"{rejection.source}: {image}{rejection.rule}: {rejection.detail}; repair it, or build "
        "without --strict"
    )

"""HTML pages of templates that lie in `templates/` beside the code that fills them."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def page_environment(package: str) -> "Environment":
    """The templates of a package; every text is escaped, and a missing value is an error.

    Args:
        package: Its dotted name.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

"""The prompts: versioned files of the package with $placeholders that are filled strictly."""

from functools import cache
from importlib.resources import files
from string import Template

from unigeoseg.errors import OptionError

VERSION = "1"
"""The folder that is read. Published prompts stay; a change of words is a new folder."""


def fill_prompt(name: str, **values: str) -> str:
    """A prompt with its placeholders filled.

    Args:
        name: The file's name without suffix: judge, referring, attribute, context_cues,
            context_question, score_a or score_b.
        values: Text of every placeholder.

    Raises:
        OptionError: If there is no such prompt, or placeholders and values differ.
    """
    template = Template(prompt_text(name))
    placeholders = set(template.get_identifiers())
    if not template.is_valid() or placeholders != set(values):
        raise OptionError(
            f"the prompt {name} of version {VERSION} has the placeholders {sorted(placeholders)}, "
            f"got {sorted(values)}; give each of them"
        )
    return template.substitute(values)


@cache
def prompt_text(name: str) -> str:
    """A prompt as written.

    Raises:
        OptionError: If there is no such prompt.
    """
    folder = files("unigeoseg.data.vlm") / "prompt_texts" / VERSION
    try:
        return (folder / f"{name}.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise OptionError(f"there is no prompt {name!r} of version {VERSION}") from error

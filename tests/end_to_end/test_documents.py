"""What documents name exists: links, modules, commands with their options, extras."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from places import DOCS, ROOT, SOURCE

from unigeoseg.cli.main import app

PACKAGE = SOURCE / "unigeoseg"
LOG = DOCS / "dev" / "log.md"  # a diary: it keeps the names of its day
DOCUMENTS = [
    path for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *PACKAGE.rglob("*.md"))
    if path not in (LOG, ROOT / "CHANGELOG.md") and "prompt_texts" not in path.parts
]  # fmt: skip
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
MODEL_FOLDERS = (PACKAGE, PACKAGE / "model", ROOT)
"""Folders that paths of modules start from: the table of the network leaves `model/` out."""

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        path, _, anchor = target.partition("#")
        if re.match(r"https?:", target):
            continue
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def test_architecture_names_modules_that_exist():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text)
    missing = [path for path in paths if not any((at / path).exists() for at in MODEL_FOLDERS)]
    rooms = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    dotted = re.findall(rf"\b((?:{rooms})(?:\.[A-Za-z_]+)+)", text)
    assert len(paths) > 30 and len(dotted) > 30
    assert not missing
    assert not [name for name in dotted if not is_defined(name)]


def is_defined(name: str) -> bool:
    """Whether a dotted name is a module of the package, or a name in one."""
    path = PACKAGE.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    module, _, attribute = f"unigeoseg.{name}".rpartition(".")
    in_a_module = path.parent.with_suffix(".py").exists()
    return in_a_module and hasattr(import_module(module), attribute)


def commands(document: Path) -> Iterator[list[str]]:
    """The words of every `unigeoseg` command in a document's code blocks, without comments."""
    for block in FENCED.findall(document.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = re.sub(r"^\$ |^\.venv/bin/", "", line)
            if words.startswith("unigeoseg "):
                yield shlex.split(words, comments=True)[1:]


def unknown(words: list[str]) -> list[str]:
    """What a command line does not know: a command of a group, or options."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if words[0] not in command.commands:
            return words[:1]
        command, words = command.commands[words[0]], words[1:]
    options = {name for part in command.params for name in (*part.opts, *part.secondary_opts)}
    return [word for word in words if re.match(r"--?[a-z]", word) and word not in options]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_and_options_exist(document: Path):
    assert not [(words, unknown(words)) for words in commands(document) if unknown(words)]


def test_there_are_commands_to_check():
    assert sum(len(list(commands(document))) for document in DOCUMENTS) > 60


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        named = {
            name for group in re.findall(r"'?\.\[([a-z,]+)\]", text) for name in group.split(",")
        }
        assert named <= extras, document
    rows = re.findall(
        r"^\| `(\w+)` \|", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(rows) == extras


def test_python_examples_import_what_exists():
    imports = re.compile(r"(?:^|\")from (unigeoseg[\w.]*) import ([\w, ]+)", re.MULTILINE)
    found = [
        (module, name.strip())
        for document in DOCUMENTS
        for module, names in imports.findall(document.read_text(encoding="utf-8"))
        for name in names.split(",")
    ]
    assert len(found) > 6
    assert not [pair for pair in found if not hasattr(import_module(pair[0]), pair[1])]


def test_moved_modules_are_where_the_changelog_says():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    targets = re.findall(r"^\| `unigeoseg\.[^|]*\| (`unigeoseg\.[^|]*)\|$", text, re.MULTILINE)
    assert len(targets) > 25
    missing = []
    for target in targets:
        first, *others = re.findall(r"`([\w.]+)`", target)
        names = [first, *(other if other[0] != "." else parent(first) + other for other in others)]
        missing += [name for name in names if not is_defined(name.removeprefix("unigeoseg."))]
    assert not missing


def parent(name: str) -> str:
    return name.rpartition(".")[0]

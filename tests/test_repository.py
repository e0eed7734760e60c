"""The repository's own files: what checks a change is the same everywhere."""

import re
import tomllib

from places import ROOT

IGNORED_BY_TOOLS = {"build", "dist", "venv", "env", "node_modules", "wheels", "eggs"}
"""Folders of these names are left out by pytest, ruff, mypy or builders of wheels."""


def test_pre_commit_runs_the_ruff_of_the_constraints():
    pinned = dict(re.findall(r"^(\w+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    hooks = re.findall(r'"ruff==([^"]+)"', (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == [pinned["ruff"]] * 2


def test_ci_runs_the_tests_as_the_readme_says():
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert ci[-2:] == ["make check", "make test"]
    assert re.search(r"^make test\b", (ROOT / "README.md").read_text(), re.M)


def test_no_folder_has_a_name_that_tools_leave_out():
    folders = {path.name for root in ("src", "tests") for path in (ROOT / root).rglob("*/")}
    assert not folders & IGNORED_BY_TOOLS


def test_versions_of_python_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert versions <= set(project["classifiers"])

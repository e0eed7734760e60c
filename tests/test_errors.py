import pickle
import re

from unigeoseg import errors


def public() -> list[type[Exception]]:
    return [value for value in vars(errors).values() if isinstance(value, type)]


def test_every_error_is_drawn_in_the_tree_under_its_parent():
    lines = [re.sub(r"[|`-]", " ", line) for line in errors.__doc__.splitlines()]
    drawn: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in lines:
        name = line.split()[0] if line.split() else ""
        if not name.endswith("Error"):
            continue
        depth = len(line) - len(line.lstrip())
        path = [(at, parent) for at, parent in path if at < depth]
        drawn[name] = path[-1][1] if path else "Exception"
        path.append((depth, name))
    assert drawn == {error.__name__: error.__base__.__name__ for error in public()}


def test_missing_extra_names_the_extra_also_after_pickling():
    error = pickle.loads(pickle.dumps(errors.MissingExtraError("the base model", "base")))
    assert error.extra == "base"
    assert str(error).startswith("the base model needs")
    assert "pip install 'unigeoseg[base]'" in str(error)

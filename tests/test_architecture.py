"""Who may import whom, and what the pure part must not touch; `server/ARCHITECTURE.md` says why."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import uv_link_doctor

PACKAGE = Path(uv_link_doctor.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

ALLOWED = {
    # Folder or module: the parts of the package that it may know.
    "engine": {"engine", "__version__"},
    "pages": {"engine", "pages"},
    "host": {"engine", "host"},
    "options": {"engine"},
    "project": {"engine"},
    "inputs": {"engine", "options", "project"},
    "case": {"engine", "host", "options", "project"},
    "doctor": {"engine", "host", "options", "project", "case"},
    "journal": {"engine", "host", "project"},
    "changes": {"engine", "host", "journal"},
    "repair": {"engine", "host", "options", "case", "doctor", "journal", "changes"},
    "terminal": {"engine"},
    "cache_commands": {"engine", "host", "project", "case", "changes", "terminal", "cache_commands"},
    "reporting": {"engine", "host", "options", "__version__"},
    "lsp": {
        "engine",
        "host",
        "options",
        "project",
        "inputs",
        "case",
        "doctor",
        "journal",
        "repair",
        "reporting",
        "pages",
        "lsp",
        "__version__",
    },
    "demo": {"engine", "host", "options", "doctor", "repair", "demo"},
    "commands": {
        "engine",
        "host",
        "options",
        "doctor",
        "journal",
        "repair",
        "reporting",
        "demo",
        "terminal",
        "cache_commands",
    },
    "cli": {"engine", "host", "commands", "terminal", "lsp", "__version__"},
    "__main__": {"cli"},
    "__init__": set(),
}
TOUCHES_THE_MACHINE = {"os", "subprocess", "shutil", "asyncio", "tempfile", "socket", "threading", "time", "io", "sys"}
PATH_METHODS = {"exists", "is_file", "is_dir", "stat", "lstat", "open", "resolve", "iterdir", "glob", "rglob"} | {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "mkdir",
    "unlink",
    "rename",
    "replace",
    "touch",
    "samefile",
    "expanduser",
    "cwd",
    "home",
}


def part(path: Path) -> str:
    """The folder or module of the package that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, dotted, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_part_knows_only_the_parts_below_it(path):
    known = {name.split(".")[1] for name in imports(path) if name.startswith("uv_link_doctor.")}
    assert known <= ALLOWED[part(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_edge_knows_the_protocol(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert part(path) == "lsp" or not roots & {"pygls", "lsprotocol"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "engine").glob("*.py")), ids=lambda path: path.name)
def test_the_engine_is_pure(path):
    roots = {name.split(".")[0] for name in imports(path)} - {"os.path"}
    touched = {name for name in imports(path) if name.split(".")[0] in TOUCHES_THE_MACHINE and name != "os.path"}
    assert not touched
    assert not roots & {"platformdirs"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords
    }
    assert not called & PATH_METHODS
    assert "open" not in {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_opens_with_one_sentence(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    first = docstring.split("\n\n")[0]
    assert first.endswith(".")
    assert ". " not in first


def test_the_rules_cover_every_part():
    assert {part(path) for path in MODULES} == set(ALLOWED)

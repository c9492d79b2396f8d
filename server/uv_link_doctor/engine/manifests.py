"""What a manifest of any kind declares to be installed, and where it says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from uv_link_doctor.engine import requirements_txt, scripts
from uv_link_doctor.engine.model import FILE_START, Kind, Location, Manifest, Requirement
from uv_link_doctor.engine.requirements_txt import Says
from uv_link_doctor.engine.toml_text import TomlPath, locate, range_of, string_span

TOOLS_APART_FROM_INSTALLS = frozenset(
    {
        *("autoflake", "autopep8", "bandit", "basedpyright", "black", "bumpversion", "check-manifest"),
        *("check-wheel-contents", "cibuildwheel", "codespell", "commitizen", "coverage", "cruft", "darker", "deptry"),
        *("djlint", "doc8", "docformatter", "flake8", "git-cliff", "importlinter", "interrogate", "isort", "mutmut"),
        *("mypy", "nox", "numpydoc_validation", "poe", "pydoclint", "pydocstyle", "pylint", "pyproject-fmt"),
        *("pyrefly", "pyright", "pytest", "pytype", "refurb", "ruff", "semantic_release", "slotscheck", "sqlfluff"),
        *("taskipy", "tomlsort", "towncrier", "tox", "ty", "typos", "vulture", "yapf", "zuban"),
    }
)
"""Tables of `[tool]` that no build backend and no installer reads. What is not listed is taken to matter."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_START = re.compile(rf"\s*(?P<name>{_NAME})\s*(?:\[(?P<extras>[^\]]*)\]\s*)?(?P<url>@\s*\S)?")
"""Of a requirement: its name, its extras, and whether an address follows."""
_RELEASE = r"[0-9]+(?:\.[0-9]+)*"
_CLAUSE = rf"(?:(?:[<>]=?|[=!]=) ?{_RELEASE}(?:(?:a|b|rc)[0-9]+)?|[=!]= ?{_RELEASE}\.\*|~= ?{_RELEASE}\.[0-9]+)"
_MARKER = r"(?:python_version|sys_platform|platform_system|os_name) ?(?:[<>]=?|[=!]=) ?(?:'[\w.]+'|\"[\w.]+\")"
_PLAIN = re.compile(
    rf"{_NAME}(?:\[{_NAME}(?:, ?{_NAME})*\])? ?(?:{_CLAUSE}(?:, ?{_CLAUSE})*)?(?: ?; ?{_MARKER})?", re.ASCII
)
"""What most requirements look like. It is valid for certain, so most projects never wait for `packaging` (30 ms)."""
_MENDED_BY_UV = (
    (re.compile(r"([<>=]\s*\d[^\s,<>=~!]*)(?=[<>=~!])"), r"\1,"),  # >=1<2
    (re.compile(r"([<>]=?\s*\d+(?:\.\d+)*)\.\*"), r"\1"),  # >=1.*
    (re.compile(r"(?<=\d\.\d)\*"), ".*"),  # !=1.2*
    (re.compile(r"['\"]"), ""),  # >="1"
)
"""Slips in a version specifier that PEP 508 does not allow and uv does (its lenient_requirement.rs)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a manifest that uv would refuse, in one sentence."""

    message: str
    location: Location


@dataclass(frozen=True, slots=True)
class WorkspaceGlobs:
    """`[tool.uv.workspace]`: patterns of directories, relative to the manifest's own."""

    members: tuple[str, ...]
    exclude: tuple[str, ...]


def requirements(manifest: Manifest) -> tuple[Requirement, ...]:
    """Every direct dependency that is valid, in the order in which the file states them; then those of included files.

    A location is the UTF-16 range of the whole string between its quotes, as it is written; in a requirements file, of
    what states it without hashes and comments. A lock of PEP 751 tells direct packages from others by nothing, so it
    states them all.
    """
    if manifest.kind is Kind.REQUIREMENTS:
        own = tuple(_in_requirements_file(manifest))
        return (*own, *(it for included in manifest.included for it in requirements(included)))
    if manifest.kind is Kind.PYLOCK:
        return tuple(_in_pylock(manifest))
    stated = []
    for path, value, group in _items(manifest):
        if isinstance(value, str) and _fault(value) is None and (start := _START.match(value)):
            stated.append(_requirement(start, _location(manifest, path), group))
    return tuple(sorted(stated, key=_place))


def problems(manifest: Manifest) -> tuple[Problem, ...]:
    """What stands where requirements belong and is none; looks for places only when something is wrong."""
    if manifest.kind is Kind.REQUIREMENTS:
        own = tuple(_wrong_in_requirements_file(manifest))
        return (*own, *(it for other in (*manifest.included, *manifest.constraints) for it in problems(other)))
    if manifest.kind is Kind.PYLOCK:
        return tuple(_wrong_in_pylock(manifest))
    wrong = [(path, f"`{'.'.join(map(str, path))}` must be {expected}") for path, expected in _misshapen(manifest)]
    for path, value, _ in _items(manifest):
        fault = _fault(value) if isinstance(value, str) else f"a requirement must be a string, and this is `{value}`"
        if fault:
            wrong.append((path, fault))
    return tuple(Problem(message, _location(manifest, path)) for path, message in wrong)


def header(manifest: Manifest) -> Location:
    """`[project]`, a script's `# /// script`, else the first line."""
    block = scripts.block(manifest.text) if manifest.kind is Kind.SCRIPT else None
    span = block.header if block else None if manifest.kind.by_pip else locate(manifest.text).headers.get(("project",))
    return Location(manifest.path, range_of(manifest.text, span) if span else FILE_START)


def name(manifest: Manifest) -> str | None:
    """The project's own, normalised."""
    stated = _table(manifest.data, "project").get("name")
    return normalised(stated) if isinstance(stated, str) else None


def requires_python(manifest: Manifest) -> str | None:
    """The version specifier as written."""
    table = _table(manifest.data, "project") if manifest.kind is Kind.UV else manifest.data
    stated = table.get("requires-python")
    return stated if isinstance(stated, str) else None


def workspace_members(data: Mapping[str, object]) -> WorkspaceGlobs | None:
    """None for a manifest that is no workspace root."""
    uv = _table(_table(data, "tool"), "uv")
    if not isinstance(uv.get("workspace"), Mapping):
        return None
    workspace = _table(uv, "workspace")
    return WorkspaceGlobs(members=_strings(workspace.get("members")), exclude=_strings(workspace.get("exclude")))


def path_sources(manifest: Manifest) -> tuple[str, ...]:
    """The paths, as written, from which uv takes packages: `path` in `[tool.uv.sources]`, where lists are allowed."""
    stated = _table(_table(_table(manifest.data, "tool"), "uv"), "sources").values()
    tables = [table for entry in stated for table in (entry if isinstance(entry, list) else [entry])]
    return _strings([table.get("path") for table in tables if isinstance(table, Mapping)])


def dependency_inputs(data: Mapping[str, object]) -> str:
    """What of the document can change an install, as JSON: neither comments, layout nor the tables of other tools."""
    tools = {tool: table for tool, table in _table(data, "tool").items() if tool not in TOOLS_APART_FROM_INSTALLS}
    return json.dumps({**data, "tool": tools}, sort_keys=True, default=str)


def inputs_of(manifest: Manifest) -> object:
    """What of a manifest of any kind, and of all it takes in, can change an install; comparable."""
    if manifest.kind is not Kind.REQUIREMENTS:
        return dependency_inputs(manifest.data)
    others = (*manifest.included, *manifest.constraints)
    return manifest.text, tuple((str(other.path), inputs_of(other)) for other in others)


def normalised(written: str) -> str:
    """The name of a package, an extra or a group as locks have it and uv compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", written.strip()).lower()


# --- where requirements stand -------------------------------------------------------------


def _items(manifest: Manifest) -> Iterator[tuple[TomlPath, object, str | None]]:
    """What stands in each list of requirements, with its path and its extra or group.

    Without the tables in a dependency group, such as `include-group`: they state no requirement.
    """
    for path, value, group in _lists(manifest):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if not (path[0] == "dependency-groups" and isinstance(item, Mapping)):
                yield (*path, index), item, group


def _lists(manifest: Manifest) -> Iterator[tuple[TomlPath, object, str | None]]:
    """What should be a list of requirements, with its path and its extra or group."""
    data = manifest.data
    if manifest.kind is Kind.SCRIPT:
        yield ("dependencies",), data.get("dependencies", []), None
        return
    project = _table(data, "project")
    yield ("project", "dependencies"), project.get("dependencies", []), None
    for extra, value in _table(project, "optional-dependencies").items():
        yield ("project", "optional-dependencies", extra), value, extra
    for group, value in _table(data, "dependency-groups").items():
        yield ("dependency-groups", group), value, group
    yield ("tool", "uv", "dev-dependencies"), _table(_table(data, "tool"), "uv").get("dev-dependencies", []), "dev"


def _misshapen(manifest: Manifest) -> Iterator[tuple[TomlPath, str]]:
    """Where something else stands instead of a list of requirements, or of a table of such lists."""
    data = manifest.data
    for path, value, _ in _lists(manifest):
        if not isinstance(value, list):
            yield path, "a list of requirements"
    if not isinstance(_table(data, "project").get("optional-dependencies", {}), Mapping):
        yield ("project", "optional-dependencies"), "a table of lists of requirements"
    if not isinstance(data.get("dependency-groups", {}), Mapping):
        yield ("dependency-groups",), "a table of lists of requirements"


def _location(manifest: Manifest, path: TomlPath) -> Location:
    block = scripts.block(manifest.text) if manifest.kind is Kind.SCRIPT else None
    text = block.toml if block else manifest.text
    found = locate(text)
    span = found.values.get(path) or found.headers.get(path)
    if span is None:
        return Location(manifest.path)
    span = string_span(text, span) or span
    return Location(manifest.path, block.range_of(span) if block else range_of(text, span))


def _requirement(start: re.Match[str], location: Location, group: str | None = None) -> Requirement:
    extras = tuple(normalised(extra) for extra in (start["extras"] or "").split(",") if extra.strip())
    return Requirement(name=normalised(start["name"]), extras=extras, group=group, location=location)


def _place(requirement: Requirement) -> tuple[int, int]:
    start = requirement.location.range.start
    return start.line, start.character


def _table(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


# --- the files of pip and of PEP 751 ------------------------------------------------------


def _in_requirements_file(manifest: Manifest) -> Iterator[Requirement]:
    """Those of the file itself; without paths and addresses that do not tell which package they lead to."""
    for entry in requirements_txt.entries(manifest.text):
        if entry.says not in {Says.REQUIREMENT, Says.EDITABLE}:
            continue
        location = Location(manifest.path, range_of(manifest.text, entry.span))
        start = _START.match(entry.value)
        if start and (start["url"] or not requirements_txt.is_place(entry.value)):
            if _fault(entry.value) is None:
                yield _requirement(start, location)
        elif told := requirements_txt.name_of_place(entry.value):
            yield Requirement(name=normalised(told), extras=(), group=None, location=location)


def _wrong_in_requirements_file(manifest: Manifest) -> Iterator[Problem]:
    for entry in requirements_txt.entries(manifest.text):
        if entry.says is Says.REQUIREMENT and not requirements_txt.is_place(entry.value):
            fault = _fault(entry.value)
            if fault:
                yield Problem(fault, Location(manifest.path, range_of(manifest.text, entry.span)))


def _in_pylock(manifest: Manifest) -> Iterator[Requirement]:
    packages = manifest.data.get("packages")
    for index, package in enumerate(packages if isinstance(packages, list) else ()):
        stated = package.get("name") if isinstance(package, Mapping) else None
        if isinstance(stated, str):
            location = _location(manifest, ("packages", index, "name"))
            yield Requirement(name=normalised(stated), extras=(), group=None, location=location)


def _wrong_in_pylock(manifest: Manifest) -> Iterator[Problem]:
    """What PEP 751 forbids, where the installed `packaging` knows it (since 25.1); else uv is left to judge."""
    try:
        from packaging import pylock  # noqa: PLC0415  (needed for this kind only, and not in every `packaging`)
    except ImportError:
        return
    try:
        pylock.Pylock.from_dict(manifest.data)
    except pylock.PylockUnsupportedVersionError:
        return
    except pylock.PylockValidationError as invalid:
        context = invalid.context or ""
        path = tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", context))
        yield Problem(
            f"this is no valid `{manifest.path.name}`: {invalid.message} in `{context}`", _nearest(manifest, path)
        )


def _nearest(manifest: Manifest, path: TomlPath) -> Location:
    """Where a path leads, or the nearest step on the way that is written."""
    found = locate(manifest.text)
    while path and path not in found.values and path not in found.headers:
        path = path[:-1]
    return _location(manifest, path)


# --- what a requirement is ----------------------------------------------------------------


@lru_cache(maxsize=4096)
def _fault(text: str) -> str | None:
    """Why uv would not take the string for a requirement; of one with an address (`name @ …`) uv is left to judge."""
    start = _START.match(text)
    if _PLAIN.fullmatch(text) or (start and start["url"]):
        return None
    import packaging.requirements as pep508  # noqa: PLC0415  (takes longer than the rest of the engine)

    try:
        pep508.Requirement(text)
    except pep508.InvalidRequirement as invalid:
        try:
            pep508.Requirement(_mended(text))
        except pep508.InvalidRequirement:
            reason = str(invalid).splitlines()[0]
            return f"`{text.strip()}` is not a valid requirement: {reason[:1].lower()}{reason[1:]}"
    return None


def _mended(text: str) -> str:
    """The requirement as uv understands it: any white space is a space, and slips in the version are put right."""
    specifier, semicolon, marker = " ".join(text.split()).partition(";")
    for slip, right in _MENDED_BY_UV:
        specifier = slip.sub(right, specifier)
    return specifier + semicolon + marker

"""What a uv.lock says of a package: who brings it into the environment, and where its entry stands."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uv_link_doctor.engine.model import Span
from uv_link_doctor.engine.toml_text import parse

_Table = Mapping[str, object]
_State = tuple[int, str | None]
"""A package, by its place in the lock, without extras (None) or with one: what a dependency asks for."""

_CONFLICT = "<" * 7
"""How git begins a conflict in a file; not spelled out, since tools look for it in code."""
_OWN_SOURCES = frozenset({"virtual", "editable", "directory"})
_ENTRY = re.compile(
    r'^\[\[package\]\]\r?\nname = "(?P<name>[^"\n]+)"(?:\r?\nversion = "(?P<version>[^"\n]+)")?'
    r"(?:\r?\nsource = \{ (?P<source>\w+))?",
    re.MULTILINE,
)
_LINE_END = re.compile(r'(?:\r?\nversion = "(?P<version>[^"\n]*)"|\r?\n|\Z)')


def read_lock(text: str) -> Mapping[str, object] | None:
    """None for what uv does not take for a lock of its own: no TOML (conflict markers), another version."""
    lock = parse(text)
    return lock if isinstance(lock, dict) and lock.get("version") == 1 else None


def required_by(
    lock: Mapping[str, object], *, name: str, version: str | None = None, members: Collection[str] | None = None
) -> tuple[str, ...]:
    """The direct dependencies that bring a package in, by name in the lock's order; it alone where it is direct.

    Direct is what a workspace member depends on, in whatever extra or group, and what a script does; `members` leaves
    only those it names.
    Markers are not evaluated, so a dependency for another platform counts, too. All names are normalised.
    """
    graph = _graph(lock)
    roots = _members(lock, graph.packages) if members is None else members
    direct = [edge for package in graph.packages if package["name"] in roots for edge in _direct_edges(package)]
    if members is None and isinstance(manifest := lock.get("manifest"), Mapping):
        direct += _tables(manifest.get("requirements"))
    if any(edge["name"] == name for edge in direct):
        return (name,)
    bringing = graph.reaching(graph.numbered(name, version=version))
    return tuple(dict.fromkeys(str(edge["name"]) for edge in direct if bringing.intersection(graph.targets(edge))))


def versions(text: str) -> Mapping[str, frozenset[str]]:
    """The packages that a lock takes from elsewhere, with their versions, found without a parse of the rest.

    A package without a version in the lock has an empty set.
    """
    found: dict[str, frozenset[str]] = {}
    for it in _ENTRY.finditer(text):
        if it["source"] not in _OWN_SOURCES:
            found[it["name"]] = found.get(it["name"], frozenset()) | ({it["version"]} if it["version"] else set())
    return found


def entry(text: str, name: str, version: str | None = None) -> Span | None:
    """The line `name = "…"` of a package's entry, found without reading the rest.

    None where no entry of that version is written as uv writes it, and in a text with conflict markers.
    """
    if f"\n{_CONFLICT} " in text:
        return None
    line = f'name = "{name}"'
    at = text.find(f"\n{line}")
    while at >= 0:
        span = Span(at + 1, at + 1 + len(line))
        end = _LINE_END.match(text, span.end)  # A package with a dynamic version has none in the lock.
        if end and _is_under_package_header(text, span) and (version is None or end["version"] in {None, version}):
            return span
        at = text.find(f"\n{line}", span.end)
    return None


def _is_under_package_header(text: str, line: Span) -> bool:
    return text[text.rfind("\n", 0, line.start - 1) + 1 : line.start].strip() == "[[package]]"


# --- the graph ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Graph:
    """The packages of a lock; a name may stand for several, one for each fork of the resolution."""

    packages: Sequence[_Table]
    numbers: Mapping[object, Sequence[int]]
    """Their places in `packages`, by name."""

    def numbered(self, name: object, **known: object) -> Sequence[int]:
        """The packages of a name, narrowed by what else is known of them as far as any agrees."""
        numbers = self.numbers.get(name, ())
        agreeing = [number for number in numbers if all(self.packages[number].get(key) == known[key] for key in known)]
        return agreeing or numbers

    def targets(self, edge: _Table) -> Iterator[_State]:
        """What a dependency asks for; its entry tells version and source only where the name is not enough."""
        known = {key: edge[key] for key in ("version", "source") if key in edge}
        extras = edge.get("extra")
        for number in self.numbered(edge["name"], **known):
            yield number, None
            yield from ((number, str(extra)) for extra in (extras if isinstance(extras, list) else ()))

    def reaching(self, numbers: Sequence[int]) -> set[_State]:
        """All that asks for one of the packages, directly or through others; breadth first, against the edges."""
        askers: dict[_State, list[_State]] = defaultdict(list)
        for number, package in enumerate(self.packages):
            for extra, edge in _edges(package):
                for target in self.targets(edge):
                    askers[target].append((number, extra))
        reached: set[_State] = {(number, None) for number in numbers}  # Whoever asks for an extra asks for this, too.
        border = reached
        while border:
            border = {asker for state in border for asker in askers.get(state, ())} - reached
            reached |= border
        return reached


def _graph(lock: _Table) -> _Graph:
    packages = _tables(lock.get("package"))
    numbers: dict[object, list[int]] = defaultdict(list)
    for number, package in enumerate(packages):
        numbers[package["name"]].append(number)
    return _Graph(packages, numbers)


def _edges(package: _Table) -> Iterator[tuple[str | None, _Table]]:
    """What a package depends on when installed, with the extra that asks for it."""
    yield from ((None, edge) for edge in _tables(package.get("dependencies")))
    optional = package.get("optional-dependencies")
    for extra, edges in optional.items() if isinstance(optional, Mapping) else ():
        yield from ((extra, edge) for edge in _tables(edges))


def _direct_edges(package: _Table) -> Iterator[_Table]:
    """The same of a workspace member, and what its groups ask for."""
    yield from (edge for _, edge in _edges(package))
    groups = package.get("dev-dependencies")
    for edges in groups.values() if isinstance(groups, Mapping) else ():
        yield from _tables(edges)


def _members(lock: _Table, packages: Sequence[_Table]) -> Collection[object]:
    """The workspace's own packages; uv lists them where there are several, else the one at the root is it."""
    manifest = lock.get("manifest")
    listed = manifest.get("members") if isinstance(manifest, Mapping) else None
    if isinstance(listed, list):
        return listed
    own = {package["name"]: sources for package in packages if (sources := _own_sources(package))}
    return [name for name, sources in own.items() if "." in sources] or list(own)


def _own_sources(package: _Table) -> Sequence[object]:
    """The directory of a package that lies in one, as a member or a path dependency does."""
    source = package.get("source")
    return [source[kind] for kind in _OWN_SOURCES if kind in source] if isinstance(source, Mapping) else []


def _tables(value: object) -> Sequence[_Table]:
    """Those of the items that are a package or a dependency: tables with a name."""
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping) and isinstance(item.get("name"), str)]

"""Which keys uv takes in a table of settings, with values of which type; a wrong one spoils the whole table.

Measured with ten versions of uv from 0.4.18 to 0.13.9, by each key and a value of each type. Not judged are which
strings and numbers a key takes (but for `link-mode`), what stands inside lists and tables other than `pip`, and whether
uv itself fits `required-version`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from uv_link_doctor.engine.model import LinkMode

LINK_MODES = {**{mode.value: mode for mode in LinkMode}, "reflink": LinkMode.CLONE}

Version = tuple[int, int, int]
"""None, where nobody asked, counts as the newest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A key that uv refuses, and with it the table."""

    key: tuple[str, ...]
    """Its path in the table of settings."""
    says: str
    """What is wrong, to be put after the key: "is no setting of uv"."""
    of_value: bool
    """Another value of the key would do."""


def faults(table: Mapping[str, object], kind: str, version: Version | None) -> Iterator[Fault]:
    """What uv refuses in a table of settings, in the order of the file; `kind` as in `Origin`, or "uv.toml"."""
    for key, value in table.items():
        if says := _unknown(key, _KEYS, version) or _misplaced(key, kind, version):
            yield Fault((key,), says, of_value=False)
        elif says := value_fault(key, value, version):
            yield Fault((key,), says, of_value=True)
        elif key == "pip" and isinstance(value, Mapping):
            for inner, inner_value in value.items():
                if says := _unknown(inner, _PIP_KEYS, version):
                    yield Fault((key, inner), says, of_value=False)
                elif says := value_fault(inner, inner_value, version):
                    yield Fault((key, inner), says, of_value=True)


def value_fault(key: str, value: object, version: Version | None) -> str | None:
    """What is wrong with a value, given in a file or in words, if anything is."""
    if key == "link-mode":
        modes = [mode for mode in LINK_MODES if mode != "reflink" or _since(_KNOWS_REFLINK, version)]
        return None if value in modes else f"must be {_one_of(modes)}"
    words = next((words for words, types in _TYPES if key in _TYPED[words] and not isinstance(value, types)), None)
    if isinstance(value, bool) and key in _TYPED["a number"]:
        words = "a number"
    return f"must be {words}" if words else None


def _unknown(key: str, keys: Mapping[str, Version | None], version: Version | None) -> str | None:
    if key not in keys:
        meant = key.replace("_", "-").lower()
        if meant in keys:
            return f"is no setting of uv; `{meant}` is one"
        # What a later release knows nobody can tell.
        return "is no setting of uv" if version is not None and version <= _NEWEST_MEASURED else None
    unknown_to = keys[key]
    if version is not None and unknown_to is not None and version <= unknown_to:
        return f"is no setting of uv {'.'.join(map(str, version))} yet"
    return None


def _misplaced(key: str, kind: str, version: Version | None) -> str | None:
    if kind == "script" and key in _NOT_IN_SCRIPTS:
        return "is not allowed in a script"
    since = _NOT_IN_UV_TOML.get(key) if kind == "uv.toml" else None
    return "is not allowed in a `uv.toml`" if since and _since(since, version) else None


def _since(first: Version, version: Version | None) -> bool:
    return version is None or version >= first


def _one_of(values: list[str]) -> str:
    quoted = [f"`{value}`" for value in values]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


_NEWEST_MEASURED = (0, 13, 9)
_KNOWS_REFLINK = (0, 9, 28)


def _keys(rows: Mapping[Version | None, str]) -> Mapping[str, Version | None]:
    return {key: unknown_to for unknown_to, keys in rows.items() for key in keys.split()}


_KEYS = _keys(
    {
        None: (
            "native-tls offline no-cache cache-dir preview python-preference python-downloads concurrent-downloads "
            "concurrent-builds concurrent-installs index-url extra-index-url no-index find-links index-strategy "
            "keyring-provider allow-insecure-host resolution prerelease dependency-metadata config-settings "
            "no-build-isolation no-build-isolation-package exclude-newer link-mode compile-bytecode no-sources upgrade "
            "upgrade-package reinstall reinstall-package no-build no-build-package no-binary no-binary-package "
            "publish-url trusted-publishing pip cache-keys override-dependencies constraint-dependencies environments "
            "workspace sources dev-dependencies managed package"
        ),
        (0, 4, 18): (
            "required-version index fork-strategy python-install-mirror pypy-install-mirror check-url conflicts "
            "default-groups build-backend"
        ),
        (0, 5, 31): "build-constraint-dependencies required-environments",
        (0, 6, 17): "python-downloads-json-url add-bounds dependency-groups",
        (0, 7, 22): "config-settings-package extra-build-dependencies extra-build-variables exclude-newer-package",
        (0, 8, 24): "http-proxy https-proxy no-proxy no-sources-package torch-backend exclude-dependencies",
        (0, 10, 12): "system-certs preview-features audit",
        (0, 11, 33): "prerelease-package graalpy-install-mirror pyodide-install-mirror minimum-libc-version",
        (0, 12, 24): "require-build-hashes",
    }
)
"""Each key with the newest version that was seen not to know it; None for those that every version knows."""

_PIP_KEYS = _keys(
    {
        None: (
            "python system break-system-packages target prefix index-url extra-index-url no-index find-links "
            "index-strategy keyring-provider allow-insecure-host no-build no-binary only-binary no-build-isolation "
            "no-build-isolation-package strict extra all-extras no-deps allow-empty-requirements resolution prerelease "
            "dependency-metadata output-file no-strip-extras no-strip-markers no-annotate no-header "
            "custom-compile-command generate-hashes config-settings python-version python-platform universal "
            "exclude-newer no-emit-package emit-index-url emit-find-links emit-build-options emit-marker-expression "
            "emit-index-annotation annotation-style link-mode compile-bytecode require-hashes verify-hashes no-sources "
            "upgrade upgrade-package reinstall reinstall-package"
        ),
        (0, 4, 18): "no-extra fork-strategy",
        (0, 5, 31): "group torch-backend",
        (0, 7, 22): "config-settings-package extra-build-dependencies extra-build-variables exclude-newer-package",
        (0, 8, 24): "no-sources-package",
        (0, 12, 24): "require-build-hashes",
    }
)

_TYPES: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("`true` or `false`", bool),
    ("a string", str),
    ("a number", int),
    ("a list", list),
    ("a table", Mapping),
)
_TYPED = {
    words: frozenset(keys.split())
    for words, keys in {
        "`true` or `false`": (
            "native-tls system-certs offline no-cache preview no-index no-build-isolation compile-bytecode upgrade "
            "reinstall no-sources require-build-hashes system break-system-packages strict all-extras no-deps "
            "allow-empty-requirements no-strip-extras no-strip-markers no-annotate no-header generate-hashes universal "
            "emit-index-url emit-find-links emit-build-options emit-marker-expression emit-index-annotation "
            "require-hashes verify-hashes"
        ),
        "a string": (
            "cache-dir python-preference python-downloads index-url index-strategy keyring-provider resolution "
            "prerelease publish-url trusted-publishing required-version fork-strategy python-install-mirror "
            "pypy-install-mirror graalpy-install-mirror pyodide-install-mirror python-downloads-json-url check-url "
            "add-bounds http-proxy https-proxy torch-backend python target prefix output-file custom-compile-command "
            "python-version python-platform annotation-style"
        ),
        "a number": "concurrent-downloads concurrent-builds concurrent-installs",
        "a list": (
            "extra-index-url find-links allow-insecure-host dependency-metadata no-build-isolation-package "
            "upgrade-package reinstall-package no-build-package no-binary-package cache-keys override-dependencies "
            "constraint-dependencies build-constraint-dependencies exclude-dependencies index no-proxy "
            "no-sources-package extra no-extra group no-emit-package only-binary"
        ),
        "a table": (
            "config-settings config-settings-package pip extra-build-dependencies extra-build-variables "
            "exclude-newer-package prerelease-package audit"
        ),
    }.items()
}
"""Without the keys of several types, and those whose values uv does not look at while it reads settings."""

_NOT_IN_UV_TOML = {
    **dict.fromkeys(("workspace", "sources", "managed", "package", "default-groups", "dev-dependencies"), (0, 5, 31)),
    **dict.fromkeys(
        ("environments", "required-environments", "conflicts", "dependency-groups", "build-backend"), (0, 8, 24)
    ),
    "minimum-libc-version": (0, 12, 24),
}
"""With the first version that was seen to refuse them there."""

_NOT_IN_SCRIPTS = frozenset(
    {
        *("python-install-mirror", "pypy-install-mirror", "graalpy-install-mirror", "pyodide-install-mirror"),
        *("python-downloads-json-url", "publish-url", "trusted-publishing", "check-url", "add-bounds", "audit", "pip"),
        *("cache-keys", "environments", "required-environments", "minimum-libc-version", "conflicts", "workspace"),
        *("managed", "package", "default-groups", "dependency-groups", "dev-dependencies", "build-backend"),
    }
)

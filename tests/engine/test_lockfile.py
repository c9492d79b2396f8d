"""Who brings a package in, read off locks as uv 0.13.9 writes them, and the place of its entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uv_link_doctor.engine import lockfile
from uv_link_doctor.engine.model import Span

CONFLICT = "<" * 7 + " ours"

LOCK = """\
version = 1
revision = 5
requires-python = ">=3.8"
resolution-markers = [
    "python_full_version >= '3.10'",
    "python_full_version < '3.10'",
]

[manifest]
members = [
    "app",
    "lib",
]

[[package]]
name = "alpha"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "beta" },
]

[[package]]
name = "app"
source = { editable = "." }
dependencies = [
    { name = "httpx" },
    { name = "lib" },
    { name = "old", marker = "python_full_version < '3.10'" },
]

[package.optional-dependencies]
net = [
    { name = "httpx", extra = ["socks"] },
]

[package.dev-dependencies]
dev = [
    { name = "delta" },
]

[[package]]
name = "beta"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "alpha" },
]

[[package]]
name = "delta"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "idna" },
]

[[package]]
name = "gamma"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "numpy", version = "2.0", source = { registry = "wheels" } },
]

[[package]]
name = "httpx"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "alpha" },
    { name = "idna" },
]

[package.optional-dependencies]
socks = [
    { name = "socksio" },
]

[[package]]
name = "idna"
version = "3.10"
source = { registry = "wheels" }

[[package]]
name = "lib"
version = "2"
source = { editable = "packages/lib" }
dependencies = [
    { name = "gamma" },
    { name = "path-dep" },
]

[[package]]
name = "numpy"
version = "1.0"
source = { registry = "wheels" }

[[package]]
name = "numpy"
version = "2.0"
source = { registry = "wheels" }

[[package]]
name = "old"
version = "1.0"
source = { registry = "wheels" }
dependencies = [
    { name = "numpy", version = "1.0", source = { registry = "wheels" } },
]

[[package]]
name = "path-dep"
version = "1.0"
source = { directory = "../path-dep" }
dependencies = [
    { name = "anyio" },
]

[[package]]
name = "anyio"
version = "1.0"
source = { registry = "wheels" }

[[package]]
name = "socksio"
version = "1.0"
source = { registry = "wheels" }
"""

REQUIRED_BY = [
    # package, version, members, direct dependencies
    ("httpx", "1.0", None, ["httpx"]),
    ("idna", "3.10", None, ["httpx", "delta"]),
    ("alpha", None, None, ["httpx"]),
    ("beta", "1.0", None, ["httpx"]),
    ("socksio", "1.0", None, ["httpx"]),
    ("numpy", "1.0", None, ["old"]),
    ("numpy", "2.0", None, ["lib", "gamma"]),
    ("numpy", None, None, ["lib", "old", "gamma"]),
    ("numpy", "9", None, ["lib", "old", "gamma"]),
    ("gamma", "1.0", None, ["gamma"]),
    ("gamma", "1.0", {"app"}, ["lib"]),
    ("gamma", "1.0", {"lib"}, ["gamma"]),
    ("anyio", "1.0", None, ["lib", "path-dep"]),
    ("idna", "3.10", {"lib"}, []),
    ("app", None, None, []),
    ("unheard-of", None, None, []),
]


@pytest.mark.parametrize(("name", "version", "members", "expected"), REQUIRED_BY)
def test_the_direct_dependencies_that_bring_a_package_in(name, version, members, expected):
    lock = lockfile.read_lock(LOCK)
    assert lock is not None
    assert list(lockfile.required_by(lock, name=name, version=version, members=members)) == expected


def test_without_members_the_package_at_the_root_is_the_project():
    single = LOCK.replace('[manifest]\nmembers = [\n    "app",\n    "lib",\n]\n', "")
    lock = lockfile.read_lock(single)
    assert lock is not None
    assert lockfile.required_by(lock, name="gamma") == ("lib",)


def test_a_scripts_lock_tells_what_the_script_asks_for():
    """As uv 0.13.9 locks a script: there is no package of its own."""
    lock = lockfile.read_lock(
        'version = 1\n[manifest]\nrequirements = [{ name = "httpx" }]\n'
        '[[package]]\nname = "idna"\nversion = "1"\nsource = { registry = "x" }\n'
        '[[package]]\nname = "httpx"\nversion = "1"\nsource = { registry = "x" }\ndependencies = [{ name = "idna" }]\n'
    )
    assert lock is not None
    assert lockfile.required_by(lock, name="idna") == ("httpx",)
    assert lockfile.required_by(lock, name="httpx") == ("httpx",)


def test_many_ways_to_a_package_cost_no_more_than_their_dependencies():
    """Forty layers of two packages, each of which needs both of the next: two to the fortieth ways."""
    packages = [
        {"name": f"{side}{layer}", "dependencies": [{"name": f"a{layer + 1}"}, {"name": f"b{layer + 1}"}]}
        for layer in range(40)
        for side in "ab"
    ]
    root = {"name": "app", "source": {"virtual": "."}, "dependencies": [{"name": "a0"}]}
    lock = {"version": 1, "package": [root, *packages, {"name": "a40"}]}
    assert lockfile.required_by(lock, name="a40") == ("a0",)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "b", "app", "."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "version", "source", "extra", "dependencies", "virtual", "members"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.lists(JUNK, max_size=4), JUNK)
def test_no_lock_is_too_odd(packages, manifest):
    lock = {"version": 1, "package": packages, "manifest": manifest}
    assert set(lockfile.required_by(lock, name="a", version="1")) <= {"a", "b", "app", "."}


@pytest.mark.parametrize(
    "text",
    [
        LOCK.replace("version = 1\n", "version = 2\n", 1),
        LOCK.replace("version = 1\n", "", 1),
        f"{CONFLICT}\n{LOCK}",
        LOCK + "x",
        "",
    ],
)
def test_what_uv_would_not_read_is_no_lock(text):
    assert lockfile.read_lock(text) is None


# --- entry --------------------------------------------------------------------------------

ENTRIES = [
    ("idna", "3.10", 'name = "idna"\nversion = "3.10"\nsource'),
    ("idna", None, 'name = "idna"\nversion = "3.10"\nsource'),
    ("numpy", "1.0", 'name = "numpy"\nversion = "1.0"'),
    ("numpy", "2.0", 'name = "numpy"\nversion = "2.0"'),
    ("numpy", None, 'name = "numpy"\nversion = "1.0"'),
    ("app", "0.1", 'name = "app"\nsource'),  # Its version is dynamic.
    ("numpy", "3.0", None),
    ("idn", None, None),
]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(("name", "version", "expected"), ENTRIES)
def test_an_entry_is_its_name_line(name, version, expected, line_end):
    text = LOCK.replace("\n", line_end)
    span = lockfile.entry(text, name, version)
    assert (span is not None) == (expected is not None)
    if span and expected:
        assert text[span.start : span.end] == f'name = "{name}"'
        assert text[span.start :].startswith(expected.replace("\n", line_end))


ODD = [
    LOCK.replace('name = "idna"\n', "name = 'idna'\n"),
    LOCK.replace('name = "idna"\n', 'name = "idna" # mine\n'),
    LOCK.replace('[[package]]\nname = "idna"\n', '[[package]]\nversion = "3.10"\nname = "idna"\n'),
    LOCK.replace('version = "3.10"', f'{CONFLICT}\nversion = "3.10"'),
    LOCK.replace('[[package]]\nname = "idna"\n', '[other]\nname = "idna"\n'),
]


@pytest.mark.parametrize("text", ODD)
def test_an_entry_that_uv_did_not_write_is_not_guessed(text):
    assert lockfile.entry(text, "idna", "3.10") is None


def test_the_end_of_the_text_ends_an_entry_too():
    assert lockfile.entry('\n[[package]]\nname = "a"', "a", None) == Span(13, 23)

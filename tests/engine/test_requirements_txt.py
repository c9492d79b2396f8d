"""Requirements files as pip and uv write them: what each line is for, and exactly where it says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.model import Kind, Manifest
from uv_link_doctor.engine.requirements_txt import Says, entries
from uv_link_doctor.engine.toml_text import offset_at

LINES = {
    # A file, and what each of its entries is for and says.
    "plain": ("httpx\nidna", [(Says.REQUIREMENT, "httpx"), (Says.REQUIREMENT, "idna")]),
    "blanks and comments": ("\n  # c\n\t httpx  \n#idna\n", [(Says.REQUIREMENT, "httpx")]),
    "a comment behind": ("httpx # why\nidna#x\n", [(Says.REQUIREMENT, "httpx"), (Says.REQUIREMENT, "idna#x")]),
    "a comment is not continued": ("# httpx \\\nidna\n", [(Says.REQUIREMENT, "idna")]),
    "hashes": (
        "httpx==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nidna==2 --hash sha256:cc\n",
        [(Says.REQUIREMENT, "httpx==1"), (Says.REQUIREMENT, "idna==2")],
    ),
    "continued": (
        "httpx \\\r\n  >=1 \\\r\n\r\nidna\r\n",
        [(Says.REQUIREMENT, "httpx >=1"), (Says.REQUIREMENT, "idna")],
    ),
    "markers and extras": (
        "httpx[http2, socks] >= 0.27, < 1 ; python_version > '3' # x\n",
        [(Says.REQUIREMENT, "httpx[http2, socks] >= 0.27, < 1 ; python_version > '3'")],
    ),
    "a byte order mark and CRLF": (
        "\ufeffhttpx\r\nidna\r\n",
        [(Says.REQUIREMENT, "httpx"), (Says.REQUIREMENT, "idna")],
    ),
    "files": (
        "-r a.txt\n-rb.txt\n--requirement=c.txt # x\n--requirement 'd d.txt'\n-c e.txt\n--constraint f.txt\n",
        [(Says.INCLUDE, it) for it in ("a.txt", "b.txt", "c.txt", "d d.txt")]
        + [(Says.CONSTRAINT, it) for it in ("e.txt", "f.txt")],
    ),
    "editable": (
        "-e .\n--editable ./lib[x]\n-e git+https://example.org/a@b#egg=c # d\n",
        [(Says.EDITABLE, it) for it in (".", "./lib[x]", "git+https://example.org/a@b#egg=c")],
    ),
    "options": ("--index-url https://example.org/simple\n-i x\n--pre\n--no-index\n-f ./wheels\n-\n", []),
    "an address": (
        "a @ https://example.org/a.whl#sha256=1 # x\n",
        [(Says.REQUIREMENT, "a @ https://example.org/a.whl#sha256=1")],
    ),
    "no line end after a backslash": ("httpx \\", [(Says.REQUIREMENT, "httpx \\")]),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES)
def test_every_line_is_read_for_what_it_is(text, expected):
    found = entries(text)
    assert [(entry.says, entry.value) for entry in found] == expected
    for entry in found:
        written = " ".join(text[entry.span.start : entry.span.end].replace("\\\r\n", " ").split())
        assert written in {entry.value, f"'{entry.value}'"}


@given(st.text(st.sampled_from("a-re #\\\r\n=;[].@/\ufeff'é😀"), max_size=40))
def test_any_text_can_be_read(text):
    for entry in entries(text):
        assert entry.value
        assert 0 <= entry.span.start < entry.span.end <= len(text)


def manifest(text, path, included=(), constraints=()):
    return Manifest(path=path, text=text, data={}, kind=Kind.REQUIREMENTS, included=included, constraints=constraints)


NAMED = {
    "Zope.Interface[a_b]>=1": ("zope-interface", ("a-b",)),
    "httpx @ https://example.org/x-1-py3-none-any.whl": ("httpx", ()),
    "https://example.org/foo_bar-1.0-py3-none-any.whl#sha256=0": ("foo-bar", ()),
    "./wheels/foo-1.0-py3-none-any.whl ; os_name == 'x'": ("foo", ()),
    "git+https://me@example.org/a@main#egg=Name": ("name", ()),
    "-e ./lib#egg=lib": ("lib", ()),
}


@pytest.mark.parametrize(("line", "expected"), NAMED.items(), ids=NAMED)
def test_what_tells_a_package_is_a_requirement(line, expected, tmp_path):
    it = manifest(f"# é\r\n{line}\r\n", tmp_path / "requirements.txt")
    (found,) = manifests.requirements(it)
    assert (found.name, found.extras) == expected
    text, place = it.text, found.location.range
    assert text[offset_at(text, place.start) : offset_at(text, place.end)] == line.removeprefix("-e ")
    assert manifests.problems(it) == ()


@pytest.mark.parametrize(
    "line", ["-e .", "./lib", "../a", "~/a", "file:///a/b", "a/b", "x.tar.gz", "${HOME}/a", "x==${V}"]
)
def test_what_lies_behind_a_path_is_left_to_uv(line, tmp_path):
    it = manifest(line, tmp_path / "requirements.txt")
    assert (manifests.requirements(it), manifests.problems(it)) == ((), ())


def test_a_files_own_requirements_come_before_those_it_takes_in(tmp_path):
    base, bounds = manifest("idna\nb =\n", tmp_path / "base.txt"), manifest("certifi<9\n<\n", tmp_path / "c.txt")
    it = manifest(
        "-r base.txt\n-c c.txt\nhttpx\n", tmp_path / "requirements.txt", included=(base,), constraints=(bounds,)
    )
    assert [found.name for found in manifests.requirements(it)] == ["httpx", "idna"]
    assert [problem.location.path.name for problem in manifests.problems(it)] == ["base.txt", "c.txt"]

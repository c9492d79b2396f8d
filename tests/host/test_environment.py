import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.need import need
from kit.projects import clean_environ, write_project

from uv_link_doctor.engine.model import BrokenPackage, Verification
from uv_link_doctor.host.environment import (
    followed,
    installed,
    python,
    python_version,
    verbatim,
    verify,
)

COMPLETE = Verification(verified=True)
MARKERS = ("INSTALLER", "METADATA", "RECORD")


def install(site: Path, name: str, version: str, files: Mapping[str, bytes] = {}, *, line_end: str = "\n") -> Path:
    """A package as uv leaves it; its `*.dist-info`. `files` are named as in RECORD, from site-packages."""
    info = site / f"{name}-{version}.dist-info"
    content = {f"{info.name}/INSTALLER": b"uv", f"{info.name}/METADATA": b"Name: x\n", **files}
    record = io.StringIO(newline="")
    rows = csv.writer(record, lineterminator=line_end)
    for path, data in content.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
        rows.writerow((path, sha(data), len(data)))
    rows.writerow((f"{info.name}/RECORD", "", ""))
    (info / "RECORD").write_bytes(record.getvalue().encode())
    return info


def sha(data: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def broken(package: str, version: str, missing: int) -> Verification:
    return Verification(verified=False, broken=(BrokenPackage(package=package, version=version, missing=missing),))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    return tmp_path / "environment"


@pytest.fixture
def site(environment: Path) -> Path:
    site = environment / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    return site


# --- what is installed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("rich-15.0.0.dist-info", ("rich", "15.0.0")),
        ("Ruamel.Yaml_Clib-0.2.dist-info", ("ruamel-yaml-clib", "0.2")),
        ("torch-2.13.0+cpu.dist-info", ("torch", "2.13.0+cpu")),
        ("old-name-1.0.dist-info", ("old", "name-1.0")),
        ("~ich-15.0.0.dist-info", None),
        ("rich.dist-info", None),
        ("rich-15.0.0.egg-info", None),
        ("rich", None),
    ],
)
def test_a_dist_info_directory_names_its_package(
    site: Path, environment: Path, directory: str, expected: tuple[str, str] | None
) -> None:
    (site / directory).mkdir()
    found = installed(environment)
    assert found.complete
    assert [(d.name, d.version) for d in found.distributions] == ([expected] if expected else [])
    assert [Path(d.site_packages, d.dist_info) for d in found.distributions] == ([site / directory] if expected else [])


def test_a_file_that_is_called_dist_info_is_no_package(site: Path, environment: Path) -> None:
    (site / "rich-15.0.0.dist-info").touch()
    assert installed(environment).distributions == ()


@pytest.mark.parametrize(
    ("sites", "links"),
    [
        (["lib/python3.12/site-packages"], {}),
        (["lib/python3.12/site-packages"], {"lib64": "lib"}),
        (["lib/pypy3.11/site-packages", "lib64/pypy3.11/site-packages"], {}),
        (["Lib/site-packages"], {}),
    ],
    ids=["uv", "lib64 is lib", "lib64 of its own", "Windows"],
)
def test_every_site_packages_is_looked_at_once(environment: Path, sites: list[str], links: dict[str, str]) -> None:
    for number, directory in enumerate(sites):
        install(environment / directory, f"package_{number}", "1")
    for link, target in links.items():
        (environment / link).symlink_to(target)
    found = installed(environment)
    assert [d.name for d in found.distributions] == [f"package-{number}" for number, _ in enumerate(sites)]
    assert verify(environment, packages=None) == COMPLETE


def test_the_same_file_name_in_two_site_packages_is_two_files(environment: Path) -> None:
    for lib, name in (("lib", "first"), ("lib64", "second")):
        install(environment / lib / "python3.12" / "site-packages", name, "1", {"shared/__init__.py": b""})
    (environment / "lib64" / "python3.12" / "site-packages" / "shared" / "__init__.py").unlink()
    assert verify(environment, packages=None) == broken("second", "1", 1)


@pytest.mark.parametrize("text", ["../environment", "../environment\n", "{absolute}\n"])
def test_a_file_in_place_of_the_environment_leads_to_it(
    site: Path, environment: Path, tmp_path: Path, text: str
) -> None:
    install(site, "rich", "15.0.0")
    redirect = tmp_path / "project" / ".venv"
    redirect.parent.mkdir()
    redirect.write_text(text.format(absolute=environment))
    assert followed(redirect).samefile(environment)
    assert verify(redirect) == COMPLETE
    assert [d.name for d in installed(redirect).distributions] == ["rich"]


def test_a_link_in_place_of_the_environment_leads_to_it(site: Path, environment: Path, tmp_path: Path) -> None:
    install(site, "rich", "15.0.0")
    (tmp_path / ".venv").symlink_to(environment)
    assert [d.name for d in installed(tmp_path / ".venv").distributions] == ["rich"]


def test_an_environment_without_packages_is_verified(site: Path, environment: Path) -> None:
    assert site.is_dir()
    assert verify(environment, packages=None) == COMPLETE


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        lambda path: path.mkdir(),
        lambda path: path.write_text("nowhere"),
        lambda path: path.write_bytes(b"\0"),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.symlink_to(path),
        lambda path: (path / "lib").mkdir(parents=True),
    ],
    ids=["nothing", "empty", "leads nowhere", "NUL", "not UTF-8", "leads to itself", "no site-packages"],
)
def test_where_there_is_no_environment_nothing_is_verified(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / ".venv")
    assert verify(tmp_path / ".venv", packages=None) == Verification(verified=False)
    assert not installed(tmp_path / ".venv").complete
    assert python_version(tmp_path / ".venv") is None


def test_packages_come_by_name(site: Path, environment: Path) -> None:
    names = ["rich", "anyio", "Zope.Interface", "certifi", "httpx", "idna", "attrs", "numpy"]
    for name in names:
        install(site, name, "1", {f"{name}.py": b""})
    assert [d.name for d in installed(environment).distributions] == sorted(
        name.lower().replace(".", "-") for name in names
    )
    for name in names:
        (site / f"{name}.py").unlink()
    assert [b.package for b in verify(environment, packages=None).broken] == [
        d.name for d in installed(environment).distributions
    ]


# --- the quick look -----------------------------------------------------------------------


@pytest.mark.parametrize("marker", MARKERS)
def test_a_missing_marker_is_seen_without_being_asked(site: Path, environment: Path, marker: str) -> None:
    install(site, "Rich", "15.0.0", {"rich/__init__.py": b""})
    (install(site, "idna", "3.10", {"idna/core.py": b"x"}) / marker).unlink()
    assert verify(environment) == broken("idna", "3.10", 1)


def test_an_interrupted_install_is_counted_whole(site: Path, environment: Path) -> None:
    info = install(site, "rich", "15.0.0", {f"rich/{number}.py": b"" for number in range(7)})
    shutil.rmtree(site / "rich")
    (info / "INSTALLER").unlink()
    assert verify(environment) == broken("rich", "15.0.0", 8)


def test_without_installer_metadata_its_absence_shows_nothing(site: Path, environment: Path) -> None:
    info = install(site, "rich", "15.0.0")
    (info / "INSTALLER").unlink()
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    assert verify(environment, packages=None, installer_expected=False) == COMPLETE
    assert verify(environment, packages=None) == broken("rich", "15.0.0", 1)
    (info / "METADATA").unlink()
    assert verify(environment, installer_expected=False) == broken("rich", "15.0.0", 1)


def test_other_files_are_looked_at_only_where_it_was_asked_for(site: Path, environment: Path) -> None:
    for name in ("idna", "rich"):
        install(site, name, "1", {f"{name}/core.py": b""})
        (site / name / "core.py").unlink()
    assert verify(environment) == COMPLETE
    assert verify(environment, packages=["rich"]) == broken("rich", "1", 1)
    assert [package.package for package in verify(environment, packages=None).broken] == ["idna", "rich"]


def test_a_package_that_was_asked_for_and_is_not_there_is_not_verified(site: Path, environment: Path) -> None:
    install(site, "rich", "15.0.0")
    assert verify(environment, packages=["rich", "certifi"]) == Verification(verified=False)


# --- the full look ------------------------------------------------------------------------


PARTS = (
    # Commas, quotes, separators of other systems: all that POSIX allows, but for `\r`, which csv.writer does not quote.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0.\r"), min_size=1, max_size=6)
    if sys.platform == "linux"
    else st.text("abc, ", min_size=1, max_size=6)
)
MODULES = st.builds(lambda folders, name: "/".join(["{0}", *folders, f"{name}.py"]), st.lists(PARTS, max_size=3), PARTS)
SCRIPTS = st.builds("../../../bin/{{0}}@{}".format, PARTS)
PACKAGES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,3}(_[a-z0-9]{1,3})?", fullmatch=True),
    st.dictionaries(MODULES | SCRIPTS, st.binary(max_size=3), max_size=8),
    min_size=1,
    max_size=4,
)


@given(packages=PACKAGES, line_end=st.sampled_from(["\n", "\r\n"]), data=st.data())
def test_whatever_file_is_removed_it_is_found_with_its_package(
    packages: dict[str, dict[str, bytes]], line_end: str, data: st.DataObject
) -> None:
    with fast_directory() as environment:
        site = environment / "lib" / "python3.12" / "site-packages"
        recorded = {
            name: {path.replace("{0}", name): content for path, content in files.items()}
            for name, files in packages.items()
        }
        for name, files in recorded.items():
            install(site, name, "1.0", files, line_end=line_end)
        assert verify(environment, packages=None, hashes=True) == COMPLETE

        package = data.draw(st.sampled_from(sorted(recorded)))
        markers = [f"{package}-1.0.dist-info/{marker}" for marker in MARKERS]
        path = data.draw(st.sampled_from([*markers, *recorded[package]]))
        (site / path).unlink()
        expected = broken(package.replace("_", "-"), "1.0", 1)
        assert verify(environment, packages=None) == expected
        assert verify(environment, packages=None, hashes=True) == expected
        assert verify(environment) == (expected if path in markers else COMPLETE)


@contextmanager
def fast_directory() -> Iterator[Path]:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield Path(directory)


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ("gone.py,sha256=x,1\n", 1),
        ("gone.py,sha256=x,1", 1),
        ("gone.py\n", 1),
        ("gone.py,,\r\ngone.py,,\r\nkept.py,,\r\n", 1),
        ('"gone, too.py",,\n"kept, too.py",,\nkept.py,,\n', 1),
        ("gone/a.py,,\ngone/b/c.py,,\n", 2),
        ("../../../bin/kept,,\n../../../bin/gone,,\n", 1),
        ("{absolute}/kept.py,,\n{absolute}/gone.py,,\n", 1),
        ("kept.py/below.py,,\n", 1),
        ("\0,,\n", 1),
        (f"{'x' * 300},,\n", 1),
        ("dangling.py,,\nlink.py,,\n", 1),
        ("linked/file.py,,\nlinked/gone.py,,\n", 1),
        ("loop.py,,\n", 1),
        ("directory,,\ndirectory/,,\ngone/,,\n", 0),
        ("gone.pyc,,\n__pycache__/gone.cpython-312.pyc,,\na/__pycache__/b.cpython-312.opt-1.pyc,,\n", 0),
        ("./kept.py,,\ndirectory/../kept.py,,\n", 0),
        ("\n\n", 0),
    ],
)
def test_what_record_names_is_looked_for(site: Path, environment: Path, rows: str, missing: int) -> None:
    info = install(site, "example", "1")
    (environment / "bin").mkdir()
    (environment / "bin" / "kept").touch()
    (site / "directory").mkdir()
    (site / "directory" / "file.py").touch()
    for name in ("kept.py", "kept, too.py"):
        (site / name).touch()
    (site / "dangling.py").symlink_to("nowhere")
    (site / "link.py").symlink_to("kept.py")
    (site / "loop.py").symlink_to("loop.py")
    (site / "linked").symlink_to("directory")
    text = f"{info.name}/RECORD,,\n" + rows.replace("{absolute}", str(site))
    (info / "RECORD").write_bytes(text.encode())
    assert verify(environment, packages=None) == (broken("example", "1", missing) if missing else COMPLETE)


def test_what_stands_in_a_files_place_is_seen_where_contents_are_read(site: Path, environment: Path) -> None:
    info = install(site, "example", "1")
    (site / "directory").mkdir()
    (info / "RECORD").write_text(f"{info.name}/RECORD,,\ndirectory,sha256=x,1\n")
    assert verify(environment, packages=None) == COMPLETE
    assert not verify(environment, packages=None, hashes=True).verified


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff\xfe", b'"' + b"x" * 200_000 + b'",,\n'],
    ids=["empty", "blank", "not UTF-8", "not CSV"],
)
def test_a_record_that_cannot_be_read_is_a_missing_one(site: Path, environment: Path, content: bytes) -> None:
    (install(site, "example", "1") / "RECORD").write_bytes(content)
    assert verify(environment, packages=["example"]) == broken("example", "1", 1)


def test_a_directory_in_place_of_record_is_a_missing_one(site: Path, environment: Path) -> None:
    record = install(site, "example", "1") / "RECORD"
    record.unlink()
    record.mkdir()
    assert verify(environment, packages=["example"]) == broken("example", "1", 1)


def test_an_environment_of_links_into_a_cache_that_was_cleaned_is_broken(
    site: Path, environment: Path, tmp_path: Path
) -> None:
    info = install(tmp_path / "cache", "rich", "15.0.0", {"rich/a.py": b"", "rich/b.py": b""})
    (site / "rich").mkdir()
    shutil.copytree(info, site / info.name)
    for path in ("rich/a.py", "rich/b.py", f"{info.name}/METADATA"):
        (site / path).unlink(missing_ok=True)
        (site / path).symlink_to(tmp_path / "cache" / path)
    assert verify(environment, packages=None, hashes=True) == COMPLETE
    shutil.rmtree(tmp_path / "cache")
    assert verify(environment) == broken("rich", "15.0.0", 3)


@pytest.mark.parametrize(
    ("recorded", "missing"),
    [
        (f"{sha(b'same')},4", 0),
        (f"{sha(b'same')},", 0),
        (sha(b"same"), 0),
        (f"{sha(b'same')}=,4", 0),
        (f"{sha(b'same', 'sha512')},4", 0),
        (f"{sha(b'else')},4", 1),
        (f"{sha(b'else', 'sha384')},4", 1),
        (f"{sha(b'same')},5", 1),
        ("md5=AAAA,4", 0),
        (",", 0),
    ],
)
def test_contents_are_compared_only_on_request(site: Path, environment: Path, recorded: str, missing: int) -> None:
    info = install(site, "example", "1")
    (site / "module.py").write_bytes(b"same")
    (info / "RECORD").write_text(f"module.py,{recorded}\n")
    assert verify(environment, packages=None) == COMPLETE
    expected = broken("example", "1", missing) if missing else COMPLETE
    assert verify(environment, packages=["example"], hashes=True) == expected


@pytest.mark.parametrize(
    "closed",
    ["lib", "lib/python3.12", "lib/python3.12/site-packages", "lib/python3.12/site-packages/example-1.dist-info"],
)
def test_what_cannot_be_looked_at_is_neither_verified_nor_broken(closed: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory)
        environment.chmod(0o755)
        install(environment / "lib" / "python3.12" / "site-packages", "example", "1", {"example/core.py": b""})
        (environment / closed).chmod(0)
        try:
            assert verified_by_nobody(environment) == repr(Verification(verified=False))
        finally:
            (environment / closed).chmod(0o755)
        assert verified_by_nobody(environment) == repr(COMPLETE)


def test_a_package_that_cannot_be_searched_is_not_verified_when_all_are_looked_at() -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory)
        environment.chmod(0o755)
        site = environment / "lib" / "python3.12" / "site-packages"
        install(site, "example", "1", {"example/core.py": b""})
        (site / "example").chmod(0)
        assert verified_by_nobody(environment) == repr(COMPLETE)
        assert verified_by_nobody(environment, packages="None") == repr(Verification(verified=False))
        (site / "example").chmod(0o711)  # No listing, but each file can be asked for.
        assert verified_by_nobody(environment, packages="None") == repr(COMPLETE)


def test_a_file_that_cannot_be_read_is_not_verified_when_contents_are_compared() -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory)
        environment.chmod(0o755)
        site = environment / "lib" / "python3.12" / "site-packages"
        install(site, "example", "1", {"example/core.py": b""})
        (site / "example" / "core.py").chmod(0)
        assert verified_by_nobody(environment, packages="None") == repr(COMPLETE)
        assert verified_by_nobody(environment, packages="None, hashes=True") == repr(Verification(verified=False))


def verified_by_nobody(environment: Path, packages: str = "()") -> str:
    """The answer of `verify` to a user to whom permissions apply, who is not root."""
    program = f"""
import os, pathlib
from uv_link_doctor.host.environment import verify
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
print(verify(pathlib.Path({str(environment)!r}), packages={packages}))
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


# --- what uv itself leaves ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hardlink", "copy", "symlink"])
@pytest.mark.parametrize("version", ["0.4.18", "newest"])
def test_an_environment_of_uv_is_complete_until_a_file_goes(
    tmp_path: Path, uv_binary: Callable[[str], Path], index: Path, version: str, mode: str
) -> None:
    need(sys.platform != "win32", "the test's own variables are those of POSIX")
    environ = clean_environ(tmp_path / "home", cache=tmp_path / "cache", index=index)
    project = write_project(tmp_path / "project", "httpx", environ=environ)
    run = project.run(uv_binary(version), "sync", "--link-mode", mode)
    assert run.returncode == 0, run.stderr
    assert [d.name for d in installed(project.environment).distributions] == ["certifi", "httpx", "idna"]
    assert verify(project.environment, packages=None, hashes=True) == COMPLETE
    assert python_version(project.environment) == sys.version_info[:3]
    assert python(project.environment).exists()

    (project.site_packages / "certifi" / "__init__.py").unlink()
    certifi = next(d for d in installed(project.environment).distributions if d.name == "certifi")
    assert verify(project.environment, packages=["certifi"]) == broken("certifi", certifi.version, 1)


def test_an_editable_install_is_complete_while_its_path_file_is_there(
    tmp_path: Path, uv_binary: Callable[[str], Path], index: Path
) -> None:
    environ = clean_environ(tmp_path / "home", cache=tmp_path / "cache", index=index)
    uv = uv_binary("newest")
    project = write_project(tmp_path / "project", environ=environ, more=BUILT_BY_UV)
    (project.root / "example").mkdir()
    (project.root / "example" / "__init__.py").touch()
    run = project.run(uv, "sync")
    assert run.returncode == 0, run.stderr
    assert verify(project.environment, packages=["example"], hashes=True) == COMPLETE

    next(path for path in project.site_packages.glob("*.pth") if "example" in path.name).unlink()
    assert verify(project.environment, packages=["example"]) == broken("example", "0", 1)


BUILT_BY_UV = """
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-root = ""
"""


# --- the interpreter ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("home = /usr/bin\nimplementation = CPython\nuv = 0.13.9\nversion_info = 3.11.7\n", (3, 11, 7)),
        ("home = /usr/bin\nversion = 3.12.3\nexecutable = /usr/bin/python3.12\n", (3, 12, 3)),
        ("home = C:\\Python313\r\nversion_info = 3.13.0.final.0\r\nversion = 3.13.0\r\n", (3, 13, 0)),
        ("Version_Info=3.14.0rc1\n", (3, 14, 0)),
        ("home = /home/ana/version = 3.9.1/bin\n", None),
        ("version_info = 3.12\n", None),
        ("", None),
    ],
)
def test_the_interpreters_version_is_read(tmp_path: Path, text: str, version: tuple[int, int, int] | None) -> None:
    (tmp_path / "pyvenv.cfg").write_bytes(text.encode())
    assert python_version(tmp_path) == version


@pytest.mark.skipif(sys.platform == "win32", reason="there it is Scripts in every case")
@pytest.mark.parametrize(
    ("made", "expected"),
    [("bin/python", "bin/python"), ("Scripts/python.exe", "Scripts/python.exe"), (None, "bin/python")],
)
def test_the_interpreter_is_where_the_environments_maker_put_it(
    environment: Path, made: str | None, expected: str
) -> None:
    if made:
        (environment / made).parent.mkdir(parents=True)
        (environment / made).touch()
    assert python(environment) == environment / expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"C:\Users\ana\.venv\Lib/site-packages/x/../y.py", r"\\?\C:\Users\ana\.venv\Lib\site-packages\y.py"),
        (r"\\server\share\.venv\Lib\x.py", r"\\?\UNC\server\share\.venv\Lib\x.py"),
        (r"\\?\C:\already\x.py", r"\\?\C:\already\x.py"),
    ],
)
def test_a_long_windows_path_is_written_verbatim(path: str, expected: str) -> None:
    assert verbatim(path) == expected

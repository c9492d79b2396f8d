"""What a scan says of a cache that uv has filled, with all that can go wrong in one."""

import os
import shutil
from collections.abc import Callable
from errno import EMLINK
from pathlib import Path

import pytest
from kit.cloud import FALLS_BACK, STOPS
from kit.projects import UvProject

from uv_link_doctor.host import cache_scan
from uv_link_doctor.host.cache_scan import Scan, Trouble, scan
from uv_link_doctor.host.cache_sieve import Sieve, read


@pytest.fixture
def filled(uv_binary, project) -> UvProject:
    example = project("httpx")
    assert example.run(uv_binary("newest"), "sync", "--link-mode", "hardlink").returncode == 0
    return example


def cache(example: UvProject) -> Path:
    return Path(example.environ["UV_CACHE_DIR"])


def archive(example: UvProject, package: str) -> Path:
    return next(path.parent for path in cache(example).glob(f"archive-v0/*/{package}-*.dist-info"))


def told(found: Scan) -> dict[str, dict[str, set[str]]]:
    """By package and trouble, the files; `.dist-info` without its name."""
    said: dict[str, dict[str, set[str]]] = {}
    for it in found.troubled:
        names = {name if ".dist-info" not in name else name.partition("-")[2].partition("/")[2] for name in it.files}
        said.setdefault(it.package, {})[it.trouble] = names
    return said


def test_a_healthy_cache_is_linked_and_in_no_trouble(filled):
    before = sorted(cache(filled).rglob("*"))
    files = [path for path in cache(filled).glob("archive-v0/**/*") if path.is_file()]
    for complete, seen in ((False, 6), (True, len(files))):
        found = scan(cache(filled), complete=complete)
        assert (found.entries, found.files, found.troubled, found.finished) == (3, seen, (), True)
        assert [it.package for it in found.linked] == ["certifi", "httpx", "idna"]
    linked = sum(path.stat().st_nlink > 1 for path in files)
    assert sum(it.files for it in scan(cache(filled), complete=True, hashes=True).linked) == linked > 3
    shutil.rmtree(filled.environment)
    assert scan(cache(filled), complete=True).linked == ()
    assert sorted(cache(filled).rglob("*")) == before


def emptied(name: str) -> Callable[[Path], None]:
    return lambda entry: os.truncate(next(entry.glob(name)), 0)


def gone(name: str) -> Callable[[Path], None]:
    return lambda entry: next(entry.glob(name)).unlink()


def altered(entry: Path) -> None:
    file = entry / "certifi" / "core.py"
    file.write_bytes(file.read_bytes().swapcase())


def a_directory(entry: Path) -> None:
    (entry / "certifi" / "core.py").unlink()
    (entry / "certifi" / "core.py").mkdir()


def a_link(entry: Path) -> None:
    (entry / "certifi" / "core.py").unlink()
    (entry / "certifi" / "core.py").symlink_to("__init__.py")


NO_RECORD = {"RECORD"}
CORE = {"certifi/core.py"}


@pytest.mark.parametrize(
    ("damage", "glance", "complete", "hashes"),
    [
        pytest.param(gone("certifi/core.py"), None, CORE, CORE, id="missing"),
        pytest.param(emptied("certifi/core.py"), None, CORE, CORE, id="empty"),
        pytest.param(altered, None, None, CORE, id="altered, of the same size"),
        pytest.param(a_directory, None, CORE, CORE, id="a directory"),
        pytest.param(a_link, None, CORE, CORE, id="a symbolic link"),
        pytest.param(gone("*/METADATA"), {"METADATA"}, {"METADATA"}, {"METADATA"}, id="no METADATA"),
        pytest.param(emptied("*/METADATA"), {"METADATA"}, {"METADATA"}, {"METADATA"}, id="empty METADATA"),
        pytest.param(gone("*/RECORD"), NO_RECORD, NO_RECORD, NO_RECORD, id="no RECORD"),
        pytest.param(emptied("*/RECORD"), NO_RECORD, NO_RECORD, NO_RECORD, id="empty RECORD"),
        pytest.param(
            lambda entry: next(entry.glob("*/RECORD")).write_bytes(b"\xff,,\n"),
            None,
            NO_RECORD,
            NO_RECORD,
            id="no text",
        ),
        pytest.param(
            lambda entry: shutil.rmtree(next(entry.glob("*.dist-info"))), set(), set(), set(), id="no .dist-info"
        ),
    ],
)
def test_damage_shows_as_far_as_one_looks(filled, damage, glance, complete, hashes):
    damage(archive(filled, "certifi"))
    for found, expected in (
        (scan(cache(filled), complete=False), glance),
        (scan(cache(filled), complete=True), complete),
        (scan(cache(filled), complete=True, hashes=True), hashes),
    ):
        assert told(found) == ({} if expected is None else {"certifi": {Trouble.DAMAGED: expected}})
        assert found.finished


def test_what_uv_does_not_install_is_in_no_trouble(filled):
    """An environment of `uvx` among the wheels, an entry that nothing leads to, a file of nobody."""
    store = cache(filled) / "archive-v0"
    (store / "environment" / "lib").mkdir(parents=True)
    (store / "environment" / "pyvenv.cfg").touch()
    (store / "unknown").mkdir()
    (store / "file").touch()
    found = scan(cache(filled), complete=True)
    assert (found.entries, found.troubled, found.finished) == (3, (), True)


def test_a_second_process_sees_what_one_sees(filled, monkeypatch):
    altered(archive(filled, "certifi"))
    gone("idna/core.py")(archive(filled, "idna"))
    (archive(filled, "httpx") / "httpx" / "py.typed").write_text("more")
    alone = scan(cache(filled), complete=True, hashes=True)
    assert {it.package for it in alone.troubled} == {"certifi", "httpx", "idna"}
    monkeypatch.setattr(cache_scan, "_MANY", 1)
    assert scan(cache(filled), complete=True, hashes=True) == alone


@pytest.mark.parametrize("hashes", [False, True])
def test_another_process_sorts_out_the_same_entries(filled, hashes):
    altered(archive(filled, "certifi"))
    (archive(filled, "httpx") / "httpx" / "py.typed").write_text("more")
    sieve = Sieve(str(cache(filled)), 0, cache_scan.closer_look(hashes=hashes))
    with cache_scan._queue() as queue, cache_scan._programs(1, queue, cache(filled), 0, hashes=hashes) as [program]:
        said = cache_scan._said(program, None)
    assert said
    assert read(said) == {
        str(path.relative_to(cache(filled))): sieve.passed(str(path))
        for path in (archive(filled, name) for name in (["idna"] if hashes else ["idna", "certifi"]))
    }


def test_without_a_second_process_one_does_it_all(filled, monkeypatch):
    alone = scan(cache(filled), complete=True)
    monkeypatch.setattr(cache_scan, "_MANY", 1)
    for executable in ("/no/such/python", shutil.which("false")):
        monkeypatch.setattr("sys.executable", executable)
        assert scan(cache(filled), complete=True) == alone


def test_a_scan_can_be_stopped(filled, monkeypatch):
    answers = iter([False, True])
    found = scan(cache(filled), complete=True, stop=lambda: next(answers))
    assert (found.entries, found.finished) == (1, False)
    monkeypatch.setattr(cache_scan, "_MANY", 1)
    assert not scan(cache(filled), complete=True, stop=lambda: True).finished


def test_what_cannot_be_listed_is_not_called_healthy(tmp_path):
    assert not scan(tmp_path / "none", complete=True).finished
    (tmp_path / "archive-v0").touch()
    assert not scan(tmp_path, complete=True).finished


def test_one_file_that_was_taken_over_shows_in_a_complete_scan(spoiled):
    example = spoiled(STOPS)
    assert scan(cache(example), complete=False).troubled == ()
    (trouble,) = scan(cache(example), complete=True).troubled
    assert (trouble.package, trouble.trouble, trouble.files) == ("certifi", Trouble.REFUSED, ("certifi/core.py",))
    assert (trouble.os_error, trouble.complete, trouble.path) == (396, True, archive(example, "certifi"))
    assert not list(cache(example).glob(".uv-link-doctor-*"))


def test_wheels_that_were_taken_over_show_by_one_file_each(spoiled):
    example = spoiled(FALLS_BACK)
    names = ("certifi", "httpx", "idna")
    glance = scan(cache(example), complete=False)
    assert told(glance) == {name: {Trouble.REFUSED: {"METADATA"}} for name in names}
    assert {it.complete for it in glance.troubled} == {False}
    for it in scan(cache(example), complete=True).troubled:
        # uv copies RECORD rather than linking it, to add to it.
        assert {name.rpartition("/")[2] for name in it.files} >= {"METADATA", "WHEEL", "__init__.py"}


def test_a_file_with_all_the_names_it_can_have(loop_mount, project, uv_binary):
    """One of its kind is tried, and is not the one."""
    mount = loop_mount("ext4", megabytes=64)
    example = project("httpx", root=mount / "project", cache=mount / "cache")
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    file = archive(example, "certifi") / "certifi" / "core.py"
    names = mount / "names"
    names.mkdir()
    for number in range(file.stat().st_nlink, os.pathconf(mount, "PC_LINK_MAX")):
        os.link(file, f"{names}/{number}")
    (trouble,) = scan(cache(example), complete=True).troubled
    assert (trouble.package, trouble.files, trouble.os_error) == ("certifi", ("certifi/core.py",), EMLINK)

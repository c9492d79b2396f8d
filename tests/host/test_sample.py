"""A measurement on a few files: it counts them, compares copies and links, and leaves nothing behind."""

from pathlib import Path

from uv_link_doctor.host.cache import entries
from uv_link_doctor.host.sample import sample

ALL: dict[str, set[str]] = {"httpx": set(), "idna": set(), "certifi": set()}


def test_copies_and_links(project, uv_binary):
    example = project("httpx")
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    found = entries(Path(example.environ["UV_CACHE_DIR"]), ALL)
    before = sorted(example.environment.iterdir())
    measured = sample(found, example.environment)
    assert measured is not None
    assert (measured.files, measured.size) == (
        sum(1 for entry in found for _ in entry.files()),
        sum(size for entry in found for _, size in entry.files()),
    )
    assert measured.copies > 0
    assert measured.links is not None
    assert sorted(example.environment.iterdir()) == before
    assert sample((), example.environment) is None


def test_no_links_between_file_systems(project, uv_binary, other_filesystem):
    example = project("httpx", cache=other_filesystem / "cache")
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    measured = sample(entries(other_filesystem / "cache", ALL), example.root / "not" / "there")
    assert measured is not None
    assert measured.links is None
    assert sorted(path.name for path in example.root.iterdir()) == [".venv", "pyproject.toml", "uv.lock"]


def test_where_nothing_can_be_written(project, uv_binary, bind_mount):
    example = project("httpx")
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    bind_mount(example.root, at=example.root, read_only=True)
    assert sample(entries(Path(example.environ["UV_CACHE_DIR"]), ALL), example.environment) is None

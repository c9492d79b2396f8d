"""The whole report that started it, in all its variants: what the preferred remedies leave is looked at, not believed.

A folder that is synced with OneDrive (by a variable), a project in it and one outside, and a cache that both use. In
the end both are installed and every file is there, the cache takes links again, the project outside is linked and the
one inside is not, nothing was downloaded (uv was offline, and the index was asked for nothing), and all of
it is so after three further installs of both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from kit.cloud import STOPS, CloudFolder
from kit.projects import UvProject
from kit.served_index import ServedIndex, served

from uv_link_doctor import doctor, repair
from uv_link_doctor.engine.model import Examination, LinkMode, Remedy, Verdict
from uv_link_doctor.host import Host, local_host
from uv_link_doctor.host.cache_scan import scan
from uv_link_doctor.options import Options

LINKING = {"UV_LINK_MODE": LinkMode.HARDLINK.value}


@dataclass
class Place:
    """A project, and the doctor as it is called there; nothing may be downloaded."""

    project: UvProject
    host: Host
    options: Options
    installed: UvProject
    """Where its environment is: in the workspace's root, if it is a member."""

    async def check(self) -> Examination:
        return await doctor.check(self.project.manifest, self.host, self.options)

    async def sync(self) -> Examination:
        found = await doctor.examine(self.project.manifest, self.host, self.options)
        return await doctor.look_at_files(found, self.host, self.options, every=True)

    async def repaired(self) -> list[str]:
        """Applies preferred remedies until nothing is found any more; which they were."""
        applied = []
        found = await self.sync()
        while remedy := preferred(found):
            applied.append(remedy.kind.value)
            assert len(applied) < 4, applied
            found = await repair.apply(found, remedy, self.host, self.options)
        assert found.verdict is Verdict.HEALTHY, found.findings
        return applied

    def names_of_files(self) -> set[int]:
        return {path.stat().st_nlink for path in self.installed.site_packages.glob("certifi/*.py")}


def preferred(found: Examination) -> Remedy | None:
    return next((it for finding in found.findings for it in finding.remedies if it.preferred), None)


@pytest.fixture(params=["0.4.18", "newest"])
def uv(request, uv_binary) -> Path:
    return uv_binary(request.param)


@pytest.fixture
def folder(cloud_folder) -> CloudFolder:
    return cloud_folder(STOPS)


@pytest.fixture
def served_index(index) -> Iterator[ServedIndex]:
    with served(index) as it:
        yield it


@pytest.fixture
def place(uv, folder, project, served_index, tmp_path) -> Callable[..., Place]:
    """`place(root, more=…)`: a project that needs certifi by way of httpx."""

    def make(root: Path, *, more: str = "") -> Place:
        example = project("typing-extensions", "httpx", root=root, cache=folder.cache, more=more)
        example.environ.update({"OneDriveCommercial": str(folder.synced), "UV_INDEX_URL": served_index.url, **LINKING})
        host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
        return Place(example, host, Options(uv_path=str(uv), sync_args=("--offline",)), example)

    return make


@pytest.fixture
def spoiled(place, folder, uv, served_index) -> Iterator[None]:
    """Somebody has installed a project in the synced folder with hard links, so that the cache is tied to it.

    From then on nothing is fetched.
    """
    first = place(folder.synced / "first").project
    assert first.run(uv, "sync").returncode == 0
    assert any(path.endswith(".whl") for path in served_index.fetched)
    served_index.fetched.clear()
    yield
    assert served_index.fetched == []


async def assert_all_is_well(inside: Place, outside: Place, cache: Path) -> None:
    for _ in range(3):
        for it in (inside, outside):
            it.project.run("rm", "-rf", it.installed.environment)
            found = await it.sync()
            assert (found.verdict, found.findings) == (Verdict.HEALTHY, ())
            assert it.installed.missing_files() == {}
    assert inside.names_of_files() == {1}
    assert min(outside.names_of_files()) > 1
    looked = scan(cache, complete=True, hashes=True)
    assert (looked.troubled, looked.finished) == ((), True)


VARIANTS = ("as it is", "variable set in vain", "uv pip install", "a member", "a uv.toml")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.usefixtures("spoiled")
async def test_in_the_synced_folder_and_outside(variant, place, folder, uv, served_index):
    root, everything = folder.synced / "second", None
    if variant == "a member":
        everything = place(folder.synced / "all", more='\n[tool.uv.workspace]\nmembers = ["packages/*"]\n').project
        root = everything.root / "packages" / "one"
    inside, outside = place(root), place(folder.outside / "third")
    if everything is not None:
        manifest = inside.project.manifest
        manifest.write_text(manifest.read_text().replace('"example"', '"one"'))
        inside.installed = everything
    if variant == "a uv.toml":
        (root / "uv.toml").write_text('link-mode = "hardlink"\n')
    if variant == "variable set in vain":
        # In a terminal, after the first failure: uv says that all is well, and it is not.
        assert inside.project.run(uv, "sync", "--offline").returncode == 2
        assert inside.project.run(uv, "sync", "--offline", "--link-mode", "copy").returncode == 0
        assert inside.installed.missing_files() != {}
        (finding,) = (await inside.check()).findings
        # To reinstall it as it was would break it once more.
        assert (finding.code, [it.kind for it in finding.remedies]) == ("environment-broken", ["retry-copy"])
        assert finding.evidence[-1] == "a link to `core.py` of certifi in uv's cache fails (os error 396)"
    if variant == "uv pip install":
        inside.project.run(uv, "venv")
        by_accident = ("pip", "install", "--python", inside.project.environment, "httpx")
        assert inside.project.run(uv, *by_accident).returncode == 2
        served_index.fetched.clear()  # Before the repair, and 0.4.18 asks anew.

    assert await inside.repaired() != []
    assert inside.installed.missing_files() == {}
    assert (await outside.check()).findings == (), "the cache was healed as well"
    assert await outside.repaired() == []
    await assert_all_is_well(inside, outside, folder.cache)


@pytest.mark.usefixtures("spoiled")
async def test_outside_because_of_the_taint(place, folder):
    inside, outside = place(folder.synced / "second"), place(folder.outside / "third")
    assert await outside.repaired() == ["repair-cache"]
    assert min(outside.names_of_files()) > 1
    # It is the one inside that must not link; told before it does.
    foretold = preferred(await inside.check())
    assert foretold is not None
    found = await repair.apply(await inside.check(), foretold, inside.host, inside.options)
    assert found.verdict is Verdict.HEALTHY
    await assert_all_is_well(inside, outside, folder.cache)

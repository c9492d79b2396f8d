"""Requirements files, pylock.toml and scripts: found, installed where they belong and nowhere else, and diagnosed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from kit.cloud import STOPS
from kit.projects import UvProject

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import DoctorError, Examination, Kind, Location, RemedyKind, Verdict
from uv_link_doctor.engine.report import document
from uv_link_doctor.engine.toml_text import offset_at
from uv_link_doctor.host import Host, local_host, read_text, state
from uv_link_doctor.options import Options
from uv_link_doctor.project import directory_of, find_manifest, may_install_on_save, nearest_environment, workspace_root

PYPROJECT = '[project]\nname = "example"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["httpx"]\n'
FOR_TOOLS = "[tool.ruff]\nline-length = 100\n"
SCRIPT = """\
#!/usr/bin/env python
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "certifi",  # é
#   "httpx",
# ]
# ///
import httpx
"""
REQUIREMENTS = "# é😀\nidna\n-r base.txt\n"
BASE = "httpx>=0.28 ; python_version > '3'  # why\n  certifi\n"
PYLOCK = """\
lock-version = "1.0"
created-by = "a person"
requires-python = ">=3.11"

[[packages]]
name = "idna"
version = "3.11"
wheels = [{{ url = "{index}/idna-3.11-py3-none-any.whl", hashes = {{ sha256 = "{idna}" }} }}]

[[packages]]
name = "certifi"
version = "2026.10.18"
wheels = [{{ url = "{index}/certifi-2026.10.18-py3-none-any.whl", hashes = {{ sha256 = "{certifi}" }} }}]
"""


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


# --- found ----------------------------------------------------------------------------------

FOUND: dict[str, tuple[str, str, str, Kind]] = {
    # Files by name, what is asked for, what it is installed from.
    "a requirements file": ("requirements-dev.in", "requirements-dev.in", "requirements-dev.in", Kind.REQUIREMENTS),
    "beside a project": ("pyproject.toml requirements.txt", "requirements.txt", "requirements.txt", Kind.REQUIREMENTS),
    "a named lock": ("pyproject.toml pylock.dev.toml", "pylock.dev.toml", "pylock.dev.toml", Kind.PYLOCK),
    "a script in a project": ("pyproject.toml tool.py", "tool.py", "tool.py", Kind.SCRIPT),
    "a module of a project": ("pyproject.toml app/module.py", "app/module.py", "pyproject.toml", Kind.UV),
    "a module beside requirements": ("requirements.txt module.py", "module.py", "requirements.txt", Kind.REQUIREMENTS),
    "a directory": ("requirements.txt", ".", "requirements.txt", Kind.REQUIREMENTS),
    "a directory with a lock": ("requirements.txt pylock.toml", ".", "pylock.toml", Kind.PYLOCK),
    "a directory with all": ("requirements.txt pylock.toml pyproject.toml", ".", "pyproject.toml", Kind.UV),
    "a directory below": ("requirements.txt app/module.py", "app", "requirements.txt", Kind.REQUIREMENTS),
    "one of a project": ("pyproject.toml docs/requirements.txt", "docs", "docs/requirements.txt", Kind.REQUIREMENTS),
    "beside a file of it": (
        "pyproject.toml docs/requirements.txt docs/module.py",
        "docs/module.py",
        "pyproject.toml",
        Kind.UV,
    ),
    "a pyproject.toml for tools": (
        "tools/pyproject.toml tools/requirements.txt",
        "tools",
        "tools/requirements.txt",
        Kind.REQUIREMENTS,
    ),
    "a uv.toml": ("requirements.txt uv.toml", "uv.toml", "requirements.txt", Kind.REQUIREMENTS),
    "no lock by its name": ("pyproject.toml pylock.a.b.toml", "pylock.a.b.toml", "pyproject.toml", Kind.UV),
}


@pytest.mark.parametrize(("names", "asked", "expected", "kind"), FOUND.values(), ids=FOUND)
def test_a_path_leads_to_what_it_is_installed_from(names, asked, expected, kind, tmp_path):
    lock = PYLOCK.format(index="https://example.org", idna="0", certifi="0")
    texts = {"tool.py": SCRIPT, "pyproject.toml": PYPROJECT, "tools/pyproject.toml": FOR_TOOLS}
    texts |= dict.fromkeys(("pylock.toml", "pylock.dev.toml"), lock)
    write(tmp_path, {name: texts.get(name, "") for name in names.split()})
    manifest = find_manifest(tmp_path / asked, read_text)
    assert (manifest.path, manifest.kind) == (tmp_path / expected, kind)


REFUSED = {
    "no requirement": ("requirements.txt", "idna\nhttpx >>1 # é\n", "`httpx >>1` is not a valid requirement", ">>1"),
    "nothing to include": (
        "requirements.txt",
        "idna\n-r other.txt\n",
        "`other.txt` is not there: no file `",
        "other.txt",
    ),
    "no requirement of a script": (
        "tool.py",
        SCRIPT.replace("httpx", "httpx>>1"),
        "`httpx>>1` is not a valid",
        "httpx>>1",
    ),
    "no TOML of a script": (
        "tool.py",
        SCRIPT.replace("]", "x]"),
        "the block `# /// script` of `tool.py` is not valid",
        "x",
    ),
    "no lock": ("pylock.toml", 'lock-version = "1.0"\n', "this is no valid `pylock.toml`: ", ""),
    "a package without a name": (
        "pylock.toml",
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nversion = "1"\n',
        "this is no valid `pylock.toml`: ",
        "[[packages]]",
    ),
}


@pytest.mark.parametrize(("name", "text", "message", "underlined"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_installed_from_is_refused_on_its_line(name, text, message, underlined, tmp_path):
    write(tmp_path, {name: text})
    with pytest.raises(DoctorError) as raised:
        find_manifest(tmp_path / name, read_text)
    assert raised.value.message.startswith(message)
    assert raised.value.location is not None
    assert raised.value.location.path == tmp_path / name
    assert underlined in under(raised.value.location)


def test_included_files_that_include_each_other_are_read_once(tmp_path):
    write(tmp_path, {"requirements.txt": "-r a/b.txt\n-c c.txt\nidna\n", "a/b.txt": "-r ../requirements.txt\nhttpx\n"})
    write(tmp_path, {"c.txt": "-c c.txt\ncertifi<9\n"})
    manifest = find_manifest(tmp_path, read_text)
    assert [it.path.name for it in manifest.included] == ["b.txt"]
    assert [it.path.name for it in manifest.constraints] == ["c.txt"]
    assert manifest.included[0].included == ()


# --- where it is installed ------------------------------------------------------------------


def test_the_environment_is_the_nearest_up_to_the_root(tmp_path):
    write(tmp_path, {".venv/pyvenv.cfg": "", "app/.git/HEAD": "", "app/requirements/requirements-dev.txt": "idna"})
    manifest = find_manifest(tmp_path / "app/requirements/requirements-dev.txt", read_text)
    directory, root = directory_of(manifest), workspace_root(manifest, read_text)
    assert (directory, root) == (tmp_path / "app", tmp_path / "app")
    assert nearest_environment(manifest.path.parent, root) == tmp_path / "app/requirements/.venv"
    write(tmp_path, {"app/.venv/pyvenv.cfg": ""})
    assert nearest_environment(manifest.path.parent, root) == tmp_path / "app/.venv"


SAVES = {
    # Files, what is saved, whether it was chosen, whether it installs.
    "not chosen": ("requirements.txt", "requirements.txt", False, False),
    "chosen": ("requirements.txt", "requirements.txt", True, True),
    "another": ("requirements.txt requirements-dev.txt", "requirements-dev.txt", True, False),
    "not at the root": (".git/HEAD sub/requirements.txt", "sub/requirements.txt", True, False),
    "a lock": ("pylock.toml", "pylock.toml", False, True),
    "a lock of a project": ("pyproject.toml pylock.toml", "pylock.toml", False, False),
    "a named lock": ("pylock.dev.toml", "pylock.dev.toml", False, False),
    "a script": ("tool.py", "tool.py", False, True),
}


@pytest.mark.parametrize(("names", "saved", "chosen", "installs"), SAVES.values(), ids=SAVES)
def test_what_a_save_may_install(names, saved, chosen, installs, tmp_path):
    lock = PYLOCK.format(index="https://example.org", idna="0", certifi="0")
    texts = {"tool.py": SCRIPT, "pyproject.toml": PYPROJECT, "pylock.toml": lock, "pylock.dev.toml": lock}
    write(tmp_path, {name: texts.get(name, "") for name in names.split()})
    manifest = find_manifest(tmp_path / saved, read_text)
    assert may_install_on_save(manifest, read_text, chosen=chosen) is installs


@dataclass
class Patient:
    """A file to install from, with an environment beside it and another that everything points to."""

    path: Path
    project: UvProject
    decoy: Path
    host: Host
    options: Options

    async def sync(self) -> Examination:
        return await doctor.examine(self.path, self.host, self.options)

    async def check(self) -> Examination:
        return await doctor.check(self.path, self.host, self.options, thorough=True)

    async def apply(self, examination: Examination, kind: RemedyKind) -> Examination:
        offered = {remedy.kind: remedy for finding in examination.findings for remedy in finding.remedies}
        return await repair.apply(examination, offered[kind], self.host, self.options)


def packages(environment: Path) -> set[str]:
    found = environment.glob("lib/python*/site-packages/*.dist-info")
    return {path.name.partition("-")[0] for path in found}


def under(location: Location) -> str:
    text = location.path.read_text(encoding="utf-8")
    return text[offset_at(text, location.range.start) : offset_at(text, location.range.end)]


NAMES = {"requirements": "requirements.txt", "pylock": "pylock.toml", "script": "tool.py"}


@pytest.fixture
def patient(uv_binary, project, index, tmp_path) -> Callable[..., Patient]:
    """`patient("pylock", "newest", root=…, cache=…)`: one of that kind, for that uv."""

    def make(kind: str, version: str, *, root: Path | None = None, cache: Path | None = None) -> Patient:
        example = project(root=root or tmp_path / "here", cache=cache)
        example.manifest.unlink()
        hashes = {
            wheel.name.partition("-")[0]: hashlib.sha256(wheel.read_bytes()).hexdigest()
            for wheel in index.glob("*.whl")
        }
        write(
            example.root,
            {
                "requirements.txt": REQUIREMENTS,
                "base.txt": BASE,
                "tool.py": SCRIPT,
                "pylock.toml": PYLOCK.format(index=index.as_uri(), idna=hashes["idna"], certifi=hashes["certifi"]),
            },
        )
        uv = uv_binary(version)
        decoy = tmp_path / f"decoy-{example.root.name}"
        for place in (decoy, *([example.environment] if kind != "script" else [])):
            made = example.run(uv, "venv", "--python", sys.executable, place)
            assert made.returncode == 0, made.stderr
        if kind != "script":
            example.environ.update({"UV_PYTHON": str(decoy), "CONDA_PREFIX": str(decoy)})
        example.environ.update({"VIRTUAL_ENV": str(decoy), "UV_SYSTEM_PYTHON": "1"})
        host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
        return Patient(example.root / NAMES[kind], example, decoy, host, Options(uv_path=str(uv)))

    return make


@pytest.mark.parametrize("version", ["0.7.22", "newest"])
@pytest.mark.parametrize("kind", NAMES)
async def test_it_is_installed_into_its_own_environment_and_no_other(kind, version, patient):
    it = patient(kind, version)
    examination = await it.sync()
    assert (examination.verdict, examination.findings) == (Verdict.HEALTHY, ())
    expected = {"idna", "certifi"} | ({"httpx"} if kind != "pylock" else set())
    environment = examination.project.environment
    assert packages(environment) == expected
    assert packages(it.decoy) == set()
    told = document(examination)["project"]
    assert (told["kind"], told["manifest"], told["environment"]) == (kind, str(it.path), str(environment))
    if kind == "script":
        assert environment.parent.parent == Path(it.project.environ["UV_CACHE_DIR"])
        assert packages(it.project.environment) == set()
    else:
        assert environment == it.project.environment
    later = await it.check()
    assert later.project.environment == environment
    assert later.verification.verified


@pytest.mark.parametrize("kind", ["requirements", "pylock"])
async def test_without_an_environment_nothing_is_installed(kind, patient):
    it = patient(kind, "newest")
    it.project.run("rm", "-rf", it.project.environment)
    with pytest.raises(DoctorError, match=r"into: no `\.venv` beside it or above") as raised:
        await it.sync()
    assert "`uv venv`" in raised.value.hint
    assert packages(it.decoy) == set()


async def test_options_that_lead_elsewhere_are_not_handed_on(patient):
    it = patient("requirements", "newest")
    it.options = replace(it.options, sync_args=("--python", str(it.decoy), "--target=x", "--all-extras", "--no-deps"))
    examination = await it.sync()
    assert packages(it.project.environment) == {"idna", "certifi", "httpx"}
    assert "--no-deps" in examination.transcript.command
    assert packages(it.decoy) == set()


@pytest.mark.parametrize(
    ("kind", "version", "needed"), [("script", "0.5.30", "0.5.31"), ("pylock", "0.6.14", "0.6.15")]
)
async def test_a_uv_that_is_too_old_for_the_kind_is_said_to_be(kind, version, needed, patient, fake_uv):
    it, fake = patient(kind, "newest"), fake_uv(version=version)
    it.options = Options(uv_path=str(fake.path))
    with pytest.raises(DoctorError, match=f"needs uv {needed} or a later one to be installed"):
        await it.sync()


async def test_an_untrusted_or_passive_look_at_a_script_asks_nobody(patient, fake_uv):
    it, fake = patient("script", "newest"), fake_uv()
    it.options = Options(uv_path=str(fake.path))
    examination = await doctor.check(it.path, it.host, it.options, passive=True, ask=False)
    assert fake.invocations() == []
    assert examination.project is not None
    assert examination.project.environment.parent == Path(it.project.environ["UV_CACHE_DIR"])
    assert examination.findings == ()


async def test_installing_requirements_on_purpose_is_remembered(patient):
    it = patient("requirements", "newest")
    await doctor.examine(it.path, it.host, it.options, agreed=False)
    assert not state.load(it.host.state, it.path).chosen
    await it.sync()
    assert state.load(it.host.state, it.path).chosen


# --- diagnosed and repaired -----------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.7.22", "newest"])
@pytest.mark.parametrize("kind", NAMES)
async def test_a_failure_stands_on_its_own_line_and_is_repaired(kind, version, patient, cloud_folder):
    folder = cloud_folder(STOPS)
    # What is installed in the synced folder is synced by then; a script is installed in the cache, outside of it.
    first = patient("requirements" if kind == "script" else kind, version, root=folder.synced / "a", cache=folder.cache)
    it = patient(kind, version, root=folder.synced / "b", cache=folder.cache)
    for each in (first, it):
        each.project.environ["UV_LINK_MODE"] = "hardlink"
    assert (await first.sync()).transcript.exit_code == 0

    failed = await it.sync()
    (finding,) = failed.findings
    assert (finding.code.value, finding.cause.value, finding.package) == ("link-failed", "cloud-sync", "certifi")
    assert finding.required_by == ("certifi",)
    assert finding.location.path == (it.path if kind != "requirements" else it.path.with_name("base.txt"))
    assert under(finding.location) == "certifi"
    checked = await it.check()
    assert [found.location for found in checked.findings if found.code is finding.code] == [finding.location]

    repaired = await it.apply(failed, RemedyKind.RETRY_COPY)
    assert (repaired.verdict, repaired.findings) == (Verdict.HEALTHY, ())
    assert repaired.verification.verified
    assert repaired.project.environment == failed.project.environment
    assert packages(it.decoy) == set()


async def test_a_scripts_own_link_mode_is_set_in_its_block_and_taken_back(patient, project, cloud_folder):
    folder = cloud_folder(STOPS)
    first = project("certifi", root=folder.synced / "first", cache=folder.cache)
    it = patient("script", "newest", root=folder.synced / "second", cache=folder.cache)
    assert first.run(it.options.uv_path, "sync", "--link-mode", "hardlink").returncode == 0
    (it.project.root / "uv.toml").write_text('link-mode = "hardlink"\n')

    repaired = await it.apply(await it.sync(), RemedyKind.SET_LINK_MODE)
    assert (repaired.verdict, repaired.findings) == (Verdict.HEALTHY, ())
    inserted = '#\n# [tool.uv]\n# link-mode = "copy"\n# ///'
    assert it.path.read_text(encoding="utf-8") == SCRIPT.replace("# ///\nimport", f"{inserted}\nimport")
    await journal.undo(it.path, it.host)
    assert it.path.read_text(encoding="utf-8") == SCRIPT


async def test_the_link_mode_of_requirements_is_set_without_making_a_uv_project(patient, cloud_folder):
    folder = cloud_folder(STOPS)
    first, it = (patient("requirements", "newest", root=folder.synced / it, cache=folder.cache) for it in "ab")
    assert (await first.sync()).transcript.exit_code == 0
    failed = await it.sync()
    assert [finding.code.value for finding in failed.findings] == ["link-failed"]
    repaired = await it.apply(failed, RemedyKind.SET_LINK_MODE)
    assert (repaired.verdict, repaired.findings) == (Verdict.HEALTHY, ())
    assert (it.project.root / "uv.toml").read_text() == 'link-mode = "copy"\n'
    assert not it.project.manifest.exists()

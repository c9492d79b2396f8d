"""The table of what is proven: each remedy against each cause it may be offered for, and how that trouble is made.

`test_every_remedy.py` carries out every row with a real uv, and `server/REMEDIES.md` is written from the same rows.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from kit.cloud import STOPS
from kit.mounts import bind_mounted
from kit.projects import MakeProject, UvProject
from kit.refusing import RefusingFolder, refusing_mounted
from uv_link_doctor.engine.model import Cause, Code, Operation, Platform, RemedyKind
from uv_link_doctor.host import Host, local_host, state
from uv_link_doctor.options import Options

CORE = "*/certifi/core.py"
"""Not the first file of certifi to be placed: a refusal here stops uv in the middle of the package."""

COPIES = (RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the test hands to a trouble, to be made from; mounts end with the test."""

    folder: Path
    other_filesystem: Callable[[], Path]
    uv: Path
    new_project: MakeProject
    mounts: ExitStack

    def refusing(self, *, convert: str = "-", os_error: int = 0) -> RefusingFolder:
        """A file system that does as it is told."""
        folder = refusing_mounted(self.folder / "refusing", convert=convert, os_error=os_error)
        return self.mounts.enter_context(folder)

    def patient(self, root: Path, cache: Path, *, state_directory: Path | None = None) -> Patient:
        """A project that needs certifi by way of httpx."""
        example = self.new_project("httpx", root=root, cache=cache)
        host = replace(local_host(), environ=example.environ, state=state_directory or self.folder / "state")
        return Patient(example, cache, host, Options(uv_path=str(self.uv)))


@dataclass(frozen=True, slots=True)
class Patient:
    """A project that the trouble awaits, and the doctor as it is called there."""

    project: UvProject
    cache: Path
    host: Host
    options: Options
    passes: Callable[[], object] | None = None
    """Ends the trouble, where the remedy rests on its being over; None where it goes on during and after the remedy."""

    @property
    def users_file(self) -> Path:
        return Path(self.project.environ["HOME"]) / ".config" / "uv" / "uv.toml"

    @property
    def remembered(self) -> state.ProjectState:
        return state.load(self.host.state, self.project.root)

    def entry(self) -> Path:
        """Where the cache keeps certifi."""
        (core,) = self.cache.glob("archive-v*/*/certifi/core.py")
        return core.parent.parent

    def uv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What its user does by hand."""
        return self.project.run(str(self.options.uv_path), *arguments)

    def installed(self, *arguments: str) -> Patient:
        """Without any trouble, so that its packages are in the cache."""
        said = self.uv("sync", *arguments)
        assert said.returncode == 0, said.stderr
        return self

    def without_environment(self) -> Patient:
        self.project.run("rm", "-rf", self.project.environment)
        return self

    def shows(self, key: str) -> str:
        """What uv itself says of a setting."""
        said = self.uv("sync", "--show-settings").stdout
        return said.partition(f"{key}:")[2].partition(",\n")[0].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What uv is to meet."""

    how: str
    """How it is made, for the documents."""
    make: Callable[[Ground], Patient]
    number: int | None
    operation: Operation | None = Operation.HARDLINK
    code: Code = Code.LINK_FAILED
    platform: Platform = Platform.LINUX
    """Whose the number is. If not Linux's, the doctor is told that it runs there."""
    uv: str = "newest"


@dataclass(frozen=True, slots=True)
class Proof:
    """The remedy helps against the cause, as met in this trouble; without a cause, packages are incomplete."""

    cause: Cause | None
    kind: RemedyKind
    trouble: Trouble

    def __str__(self) -> str:
        where = "" if self.trouble.platform is Platform.LINUX else f"-{self.trouble.platform}"
        return f"{self.cause or Code.ENVIRONMENT_BROKEN}-{self.kind}-{self.trouble.number}{where}"


# --- links are refused --------------------------------------------------------------------


def _refused_link(number: int) -> Trouble:
    """For as long as the test lasts: a copy helps without anything getting better."""

    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        folder.refuse(number, ("link", CORE))
        return ground.patient(folder.outside / "project", folder.cache)

    return Trouble(how=f"links to one file are refused with {number}", make=make, number=number, uv="0.9.30")


def _border() -> Trouble:
    def make(ground: Ground) -> Patient:
        far = ground.other_filesystem() / "cache"
        it = ground.patient(ground.folder / "project", far)
        return _cache_by_file(it)

    return Trouble(
        how="the cache lies on another file system of the kernel's own, and uv falls back to copies",
        make=make,
        number=errno.EXDEV,
        code=Code.LINK_DEGRADED,
    )


def _cache_by_file(it: Patient) -> Patient:
    """The user's own file names the cache, no variable, so that it can be moved."""
    del it.project.environ["UV_CACHE_DIR"]
    it.users_file.parent.mkdir(parents=True)
    it.users_file.write_text(f'# mine\ncache-dir = "{it.cache}"\n', encoding="utf-8")
    return it


def _refused_from_there(number: int) -> Trouble:
    """As on a mount of several file systems in one (mergerfs, overlays), of which some know no links."""

    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        folder.refuse(number, ("link", f"{_inside(folder, folder.cache)}/*/certifi/core.py"))
        return _cache_by_file(ground.patient(folder.outside / "project", folder.cache))

    return Trouble(
        how=f"links from the cache's directory are refused with {number}, others are not", make=make, number=number
    )


def _refused_into(number: int, platform: Platform = Platform.LINUX) -> Trouble:
    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        folder.refuse(number, ("link", f"{_inside(folder, folder.synced)}{CORE}"))
        return ground.patient(folder.synced / "project", folder.cache, state_directory=folder.root / "state")

    return Trouble(
        how=f"links into the project's directory are refused with {number}",
        make=make,
        number=number,
        platform=platform,
    )


def _tied(number: int) -> Trouble:
    """The mark is on the file itself, whatever its name, until it is another file."""

    def make(ground: Ground) -> Patient:
        folder = ground.refusing(convert=STOPS, os_error=number)
        ground.patient(folder.synced / "first", folder.cache).installed()
        return ground.patient(folder.outside / "project", folder.cache)

    return Trouble(
        how=f"a file of the cache has got a name in another folder, and each further one is refused with {number}",
        make=make,
        number=number,
        uv="0.9.30",  # Later ones give a file with too many names a fresh one themselves.
    )


# --- the cache is the broken side ---------------------------------------------------------


def _removed(*, comes_back: bool) -> Trouble:
    def make(ground: Ground) -> Patient:
        it = ground.patient(ground.folder / "project", ground.folder / "cache").installed().without_environment()
        file = next(it.entry().glob("*.dist-info/METADATA"))
        away = file.rename(ground.folder / "METADATA")
        return replace(it, passes=lambda: away.rename(file)) if comes_back else it

    again = ", and is there again when the remedy begins" if comes_back else ""
    return Trouble(
        how=f"a file was removed from the cache{again}", make=make, number=errno.ENOENT, operation=Operation.READ
    )


def _emptied() -> Trouble:
    def make(ground: Ground) -> Patient:
        it = ground.patient(ground.folder / "project", ground.folder / "cache").installed().without_environment()
        next(it.entry().glob("*.dist-info/METADATA")).write_bytes(b"")
        return it

    return Trouble(how="a file of the cache is empty", make=make, number=None, operation=Operation.READ)


def _not_at_hand(number: int, platform: Platform) -> Trouble:
    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        ground.patient(folder.synced / "first", folder.cache).installed()
        it = ground.patient(folder.outside / "project", folder.cache)
        core = f"{_inside(folder, it.entry())}/certifi/core.py"
        folder.refuse(number, ("link", core), ("open", core))
        return it

    return Trouble(
        how=f"a file of the cache can be neither read nor linked: {number}",
        make=make,
        number=number,
        platform=platform,
    )


# --- what is over at the second try -------------------------------------------------------


def _refused_once(number: int, operation: Operation) -> Trouble:
    """Until the user, or nobody, has seen to it."""

    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        if operation is Operation.RENAME:
            folder.refuse(number, ("rename", f"{_inside(folder, folder.cache)}/archive-v*"))
        else:
            folder.refuse(number, ("open" if operation is Operation.COPY else "link", f"*/archive-v*{CORE}"))
        it = ground.patient(folder.outside / "project", folder.cache)
        if operation is Operation.COPY:
            it.project.environ["UV_LINK_MODE"] = "copy"
        return replace(it, passes=folder.let_go)

    what = {
        Operation.HARDLINK: "the link to one file",
        Operation.COPY: "reading one file for a copy",
        Operation.RENAME: "a move inside the cache",
    }[operation]
    return Trouble(
        how=f"{what} is refused with {number}, and no longer when the remedy begins",
        make=make,
        number=number,
        operation=operation,
    )


def _in_use() -> Trouble:
    def make(ground: Ground) -> Patient:
        it = ground.patient(ground.folder / "project", ground.folder / "cache").installed("--link-mode", "copy")
        core = it.project.site_packages / "certifi" / "core.py"
        held = ExitStack()
        ground.mounts.push(held)
        held.enter_context(bind_mounted(core, core))
        it.project.run("rm", "-r", *core.parent.parent.glob("certifi-*.dist-info"))
        return replace(it, passes=held.close)

    return Trouble(
        how="a file is in the way that cannot be replaced while it is a mount point (16), and that ends meanwhile",
        make=make,
        number=errno.EBUSY,
        operation=Operation.RENAME,
    )


def _killed(*, again: bool) -> Trouble:
    def make(ground: Ground) -> Patient:
        folder = ground.refusing()
        it = ground.patient(folder.outside / "project", folder.cache)
        folder.kill(("link", CORE))
        assert it.uv("sync").returncode == -9
        if not again:
            folder.let_go()
        return it

    return Trouble(
        how=f"uv is killed while it links{', each time' if again else ''}",
        make=make,
        number=None,
        operation=None,
        code=Code.ENVIRONMENT_BROKEN,
    )


def _incomplete_in_the_cache() -> Trouble:
    def make(ground: Ground) -> Patient:
        it = ground.patient(ground.folder / "project", ground.folder / "cache").installed().without_environment()
        (it.entry() / "certifi" / "core.py").unlink()
        it.installed()  # uv does not look.
        it.project.run("rm", *it.project.site_packages.glob("certifi-*/INSTALLER"))
        return it

    return Trouble(
        how="a package lacks a file in the cache, and uv was killed while it installed it",
        make=make,
        number=None,
        operation=None,
        code=Code.ENVIRONMENT_BROKEN,
    )


def _inside(folder: RefusingFolder, path: Path) -> str:
    """As the file system sees it."""
    return f"/{path.relative_to(folder.root)}"


# --- the table ----------------------------------------------------------------------------

_REFUSALS = {
    Cause.CROSS_DEVICE: errno.EXDEV,
    Cause.CLOUD_SYNC: 396,
    Cause.UNSUPPORTED_FILESYSTEM: errno.EOPNOTSUPP,
    Cause.NETWORK_FILESYSTEM: errno.ESTALE,
    Cause.PERMISSION: errno.EACCES,
    Cause.TOO_MANY_LINKS: errno.EMLINK,
    Cause.TRANSIENT: errno.EAGAIN,
    Cause.UNKNOWN: errno.EIO,
}
_OFFLINE = {Platform.WINDOWS: 388, Platform.MACOS: 11}

PROOFS = (
    *(Proof(cause, kind, _refused_link(number)) for cause, number in _REFUSALS.items() for kind in COPIES),
    *(Proof(Cause.CROSS_DEVICE, kind, _border()) for kind in (*COPIES, RemedyKind.MOVE_CACHE)),
    Proof(Cause.UNSUPPORTED_FILESYSTEM, RemedyKind.MOVE_CACHE, _refused_from_there(errno.EOPNOTSUPP)),
    *(
        Proof(cause, RemedyKind.MOVE_ENVIRONMENT, _refused_into(_REFUSALS[cause]))
        for cause in (Cause.CLOUD_SYNC, Cause.UNSUPPORTED_FILESYSTEM, Cause.NETWORK_FILESYSTEM)
    ),
    *(
        Proof(Cause.CLOUD_OFFLINE, RemedyKind.MOVE_ENVIRONMENT, _refused_into(number, platform))
        for platform, number in _OFFLINE.items()
    ),
    *(
        Proof(cause, RemedyKind.REPAIR_CACHE, _tied(_REFUSALS[cause]))
        for cause in (Cause.CLOUD_SYNC, Cause.TOO_MANY_LINKS)
    ),
    *(
        Proof(Cause.CLOUD_OFFLINE, RemedyKind.CLEAN_PACKAGE, _not_at_hand(number, platform))
        for platform, number in _OFFLINE.items()
    ),
    Proof(Cause.MISSING_CACHE_FILE, RemedyKind.CLEAN_PACKAGE, _removed(comes_back=False)),
    Proof(Cause.MISSING_CACHE_FILE, RemedyKind.REINSTALL_BROKEN, _removed(comes_back=True)),
    Proof(Cause.CORRUPT_CACHE_ENTRY, RemedyKind.CLEAN_PACKAGE, _emptied()),
    *(
        Proof(cause, RemedyKind.REINSTALL_BROKEN, _refused_once(number, operation))
        for cause, number, operation in (
            (Cause.NETWORK_FILESYSTEM, errno.ESTALE, Operation.COPY),
            (Cause.TRANSIENT, errno.EAGAIN, Operation.COPY),
            (Cause.OUT_OF_MEMORY, errno.ENOMEM, Operation.HARDLINK),
            (Cause.OUT_OF_MEMORY, errno.ENOMEM, Operation.COPY),
            (Cause.CONCURRENCY, errno.ENOENT, Operation.RENAME),
        )
    ),
    Proof(Cause.FILE_IN_USE, RemedyKind.REINSTALL_BROKEN, _in_use()),
    Proof(None, RemedyKind.REINSTALL_BROKEN, _killed(again=False)),
    Proof(None, RemedyKind.RETRY_COPY, _killed(again=True)),
    Proof(None, RemedyKind.CLEAN_PACKAGE, _incomplete_in_the_cache()),
)

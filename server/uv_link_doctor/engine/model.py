"""The vocabulary of the doctor: every value that travels from a saved file to a diagnostic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class LinkMode(StrEnum):
    """How uv places a file of its cache in an environment; `reflink` is uv's alias of `clone`."""

    CLONE = "clone"
    COPY = "copy"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"


class Operation(StrEnum):
    """What uv was doing to a file when the operating system refused."""

    HARDLINK = "hardlink"
    CLONE = "clone"
    SYMLINK = "symlink"
    COPY = "copy"
    RENAME = "rename"
    CREATE_DIR = "create_dir"
    READ = "read"
    WRITE = "write"
    REMOVE = "remove"


class Platform(StrEnum):
    """Whose error numbers a text speaks in."""

    LINUX = "linux"
    MACOS = "macos"
    WINDOWS = "windows"


class Cause(StrEnum):
    """Why the system refused (contract, section 4)."""

    CROSS_DEVICE = "cross-device"
    CLOUD_SYNC = "cloud-sync"
    CLOUD_OFFLINE = "cloud-offline"
    UNSUPPORTED_FILESYSTEM = "unsupported-filesystem"
    NETWORK_FILESYSTEM = "network-filesystem"
    PERMISSION = "permission"
    READ_ONLY = "read-only"
    FILE_IN_USE = "file-in-use"
    TOO_MANY_LINKS = "too-many-links"
    NO_SPACE = "no-space"
    OUT_OF_MEMORY = "out-of-memory"
    PATH_TOO_LONG = "path-too-long"
    MISSING_CACHE_FILE = "missing-cache-file"
    CORRUPT_CACHE_ENTRY = "corrupt-cache-entry"
    FILE_CONFLICT = "file-conflict"
    CONCURRENCY = "concurrency"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"
    NOT_A_LINK_FAILURE = "not-a-link-failure"


class Code(StrEnum):
    """What kind of finding it is; also `Diagnostic.code` (contract, section 3)."""

    LINK_FAILED = "link-failed"
    LINK_DEGRADED = "link-degraded"
    LINK_PREDICTED = "link-predicted"
    ENVIRONMENT_BROKEN = "environment-broken"
    CACHE_TAINTED = "cache-tainted"
    SETTING_IGNORED = "setting-ignored"
    SETTING_INVALID = "setting-invalid"
    SYNC_FAILED = "sync-failed"
    UV_MISSING = "uv-missing"


class Severity(StrEnum):
    """How grave a finding is; only errors and warnings make a command exit with 1."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    HINT = "hint"


class Outcome(StrEnum):
    """What became of one link failure: uv stopped, uv copied instead, or it is still to come."""

    FAILED = "failed"
    DEGRADED = "degraded"
    PREDICTED = "predicted"


class Verdict(StrEnum):
    """The `outcome` of a whole run, text or check."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"
    NOT_A_LINK_FAILURE = "not-a-link-failure"
    NOT_RUN = "not-run"


class RemedyKind(StrEnum):
    """What a remedy does (contract, section 5)."""

    RETRY_COPY = "retry-copy"
    REINSTALL_BROKEN = "reinstall-broken"
    SET_LINK_MODE = "set-link-mode"
    SET_LINK_MODE_USER = "set-link-mode-user"
    MOVE_CACHE = "move-cache"
    REPAIR_CACHE = "repair-cache"
    CLEAN_PACKAGE = "clean-package"
    MOVE_ENVIRONMENT = "move-environment"
    ADVICE = "advice"
    """Only the person can do it: no command, no code action."""


class DoctorError(Exception):
    """Something the user can act on: one clear sentence and a hint; each front end prints it once."""

    def __init__(self, message: str, hint: str, location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open piece of a text, in code points from its start."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text as LSP counts it: line from 0, character from 0 in UTF-16 code units."""

    line: int
    character: int


@dataclass(frozen=True, slots=True)
class Range:
    """From one position up to, not including, another."""

    start: Position
    end: Position


MANIFEST = "pyproject.toml"

FILE_START = Range(Position(0, 0), Position(0, 0))


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; the range is in UTF-16, as LSP wants it."""

    path: Path
    range: Range = FILE_START


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Replaces a span of a text; nothing else of the text changes."""

    span: Span
    new_text: str

    def apply(self, text: str) -> str:
        """The text after the edit."""
        return text[: self.span.start] + self.new_text + text[self.span.end :]


# --- what uv said -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What one run of a command printed, and how it ended."""

    command: tuple[str, ...]
    exit_code: int | None
    """None: the process was stopped by us, or never started. Negative: the number of the signal that ended it."""
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One placement uv could not make, as its text tells it; paths are as printed, unwrapped."""

    outcome: Outcome
    operation: Operation | None
    os_error: int | None
    package: str | None
    """Normalised, and only from uv's own `name==version`; None when the failure covers several."""
    version: str | None
    source: str | None
    """The side in uv's cache (of a rename: the temporary side), whatever order uv printed them in."""
    target: str | None
    """The side in the environment."""
    cause: Cause
    """As far as the text alone proves it."""
    message: str
    """uv's own words, unwrapped, on one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Another failure of uv: its own words and, where it names one, the place in a file."""

    message: str
    """The first line without its `error:` label, then the causes, a line each."""
    path: str | None = None
    """As printed: relative to the directory uv ran in, or absolute."""
    line: int | None = None
    """From 1."""
    column: int | None = None
    """From 1, in code points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a text of uv says: link failures, another failure, or nothing of the kind."""

    platform: Platform | None
    """Read off the text's paths and numbers where the caller did not say; None where nothing shows it."""
    failures: tuple[Failure, ...] = ()
    complaint: Complaint | None = None
    """Set when uv failed for a reason that is not a link failure."""
    installed: tuple[tuple[str, str], ...] = ()
    """(normalised name, version) of every package uv said it put in place (its `+` and `~` lines)."""


# --- the project and the machine ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who set a value."""

    kind: str
    """default, system, user, project, parent, script, environment or command-line."""
    path: Path | None = None
    key: str | None = None
    line: int | None = None
    """From 1."""
    range: Range | None = None
    """Of the whole `key = value` in `path`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A value that is set and has no effect, with the reason."""

    value: str
    origin: Origin
    reason: str
    kind: str = "overridden"
    """overridden, unread (uv does not look there), dropped (with the table it stands in, over another key), refused,
    or elsewhere (only other commands of uv use it)."""
    by: Origin | None = None
    """Who comes first, or keeps uv from reading the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value in force and who set it."""

    value: str
    origin: Origin
    ignored: tuple[Ignored, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A file, a key or a value that uv refuses where it reads it."""

    origin: Origin
    """Without a key: the file as a whole; the range is then where it is no TOML."""
    value: str | None
    """None where not the value is wrong, but the key or the file."""
    fault: str
    """What is wrong, to be put after the key or the file: "must be a string"."""
    stops: bool
    """Over this uv stops; else it drops the whole table and goes on with what else is set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that decide how files get from the cache into the environment."""

    link_mode: Setting
    cache_dir: Setting
    environment: Setting | None = None
    """The directory; None where uv itself finds a place for it, as for a script's."""
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One direct dependency as the manifest states it."""

    name: str
    """Normalised."""
    extras: tuple[str, ...]
    group: str | None
    """The extra or dependency group that holds it; None for `[project] dependencies`, and where there are none."""
    location: Location
    """The whole of the string between its quotes; in a requirements file all that states it, but for its hashes."""


class Kind(StrEnum):
    """What a project is installed from (contract, section 2)."""

    UV = "uv"
    """A pyproject.toml."""
    PYLOCK = "pylock"
    """A pylock.toml or `pylock.<name>.toml` (PEP 751)."""
    REQUIREMENTS = "requirements"
    """A requirements file of pip."""
    SCRIPT = "script"
    """A Python file that says in its comments what it needs (PEP 723)."""

    @property
    def by_pip(self) -> bool:
        """Whether `uv pip install` installs it, into an environment that is there already."""
        return self in {Kind.PYLOCK, Kind.REQUIREMENTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file that can be installed from; `engine.manifests` answers what it declares, and where."""

    path: Path
    text: str
    """As read, with its line ends and, where it has one, its byte order mark."""
    data: dict[str, object]
    """What tomllib made of it, of a script's block; empty for a requirements file."""
    kind: Kind = Kind.UV
    included: tuple[Manifest, ...] = ()
    """The files that a requirements file takes in by `-r`, and those that these take in."""
    constraints: tuple[Manifest, ...] = ()
    """Those that it takes in by `-c`: they bound versions and install nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """The uv at hand."""

    path: Path
    version: tuple[int, int, int] | None
    """None where it was not asked (nothing may be run) or did not answer."""
    found_by: str
    """setting, PATH or known location."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What is installed: a uv project, or what a single file states."""

    directory: Path
    """Where uv is run: the project itself, or the member of the workspace that was saved."""
    root: Path
    """Of the workspace, as uv finds it; the same directory for a single project."""
    manifest: Manifest
    environment: Path
    """Of a script, the directory that uv makes it in, as long as uv has not said which it is."""
    lockfile: Path | None
    """None while there is none."""
    settings: Settings
    remembered_copy: bool = False
    """`retry-copy` is remembered for this project on this machine."""

    @property
    def kind(self) -> Kind:
        """That of its manifest."""
        return self.manifest.kind

    @property
    def subject(self) -> Path:
        """What is remembered, and shown, as one: a workspace by its root, any other kind by its file."""
        return self.root if self.kind is Kind.UV else self.manifest.path

    @property
    def target(self) -> Path:
        """What a command names it by."""
        return self.directory if self.kind is Kind.UV else self.manifest.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is known of a directory's file system without writing to it; None where nobody could say."""

    path: Path
    """The nearest directory that exists."""
    mount_point: str | None = None
    filesystem: str | None = None
    """The kernel's name of its type: `ext4`, `tmpfs`, `fuse.rclone`."""
    device: str | None = None
    free_bytes: int | None = None
    read_only: bool | None = None
    network: bool | None = None
    synced_by: str | None = None
    """The cloud client whose folder it lies in: `OneDrive`."""
    fuse: str | None = None
    """The program behind a FUSE mount, `sshfs`; empty where it does not give its name."""
    overlay: bool | None = None
    """It is the layered file system of a container, in which a volume is another file system."""
    windows_drive: bool | None = None
    """It is a drive of Windows, as WSL shows it."""
    case_sensitive: bool | None = None
    free_inodes: int | None = None
    """How many files we may still make; None also where the file system does not count them."""
    subvolume: int | None = None
    """The id of the btrfs subvolume: no hard link goes from one to another."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened when one temporary file was placed in the environment in each way, or what is sure to happen."""

    works: dict[Operation, bool] = field(default_factory=dict)
    """Only what was tried or is certain."""
    os_errors: dict[Operation, int] = field(default_factory=dict)
    foreseen: bool = False
    """Nothing was tried: this is what the file systems' properties and rules say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Both ends of a link, and what a trial between them said."""

    cache: Place
    environment: Place
    trial: Trial = Trial()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a project's packages come to, by the RECORDs in uv's cache."""

    files: int
    size: int
    """In bytes."""
    packages: int
    """How many packages this counts."""
    unknown: int
    """How many more the project has that are not in the cache yet."""
    each: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Files and bytes by package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A place for uv's cache from which a trial link into the environment worked."""

    path: Path
    free_bytes: int | None = None
    renamed: bool = False
    """The cache gets there by a rename."""
    in_use: bool = False
    """Another cache of uv is there already, which would be used as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a few of the project's files in the cache took to place."""

    files: int
    """A large one counts as several, here and below."""
    size: int
    """In bytes."""
    copies: float
    """Seconds."""
    links: float | None
    """Seconds for as many hard links; None where there can be none."""
    times: float
    """How many times as much the files of all the project are."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A package whose entry in the cache has a file that takes no further link."""

    package: str
    version: str
    file: Path
    name: Path
    """The file's path in `site-packages`."""
    os_error: int
    environments: tuple[Path, ...] = ()
    """Where the same file has another of its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPackage:
    """A package that uv counts as installed and that is incomplete on disk."""

    package: str
    version: str
    missing: int
    """How many files it lacks, of those its RECORD names and of INSTALLER, METADATA and RECORD themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a look at the environment's files said."""

    verified: bool
    """Every package that was looked at is complete."""
    broken: tuple[BrokenPackage, ...] = ()


# --- what we say --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What would help, as data; it says beforehand what it changes."""

    id: str
    kind: RemedyKind
    title: str
    preferred: bool
    changes: tuple[str, ...]
    command: tuple[str, ...]
    """What a person would type to the same end; empty where there is no such command."""


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that has to do with a finding."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Failures of one (code, cause, operation), explained, placed and with what would help."""

    id: str
    code: Code
    severity: Severity
    cause: Cause | None
    message: str
    why: str
    outcome: Outcome | None = None
    operation: Operation | None = None
    os_error: int | None = None
    package: str | None = None
    version: str | None = None
    source: str | None = None
    target: str | None = None
    required_by: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    location: Location | None = None
    related: tuple[Related, ...] = ()
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One look at a project or a text, whole: what the JSON document holds."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    uv: Uv | None = None
    project: Project | None = None
    places: Places | None = None
    transcript: Transcript | None = None
    verification: Verification | None = None

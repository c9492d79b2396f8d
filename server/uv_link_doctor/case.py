"""A project on this machine: what it is installed with and from, and what a look at it may ask."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from uv_link_doctor.engine import lockfile, plan, settings
from uv_link_doctor.engine.model import (
    DoctorError,
    Examination,
    Finding,
    Home,
    Kind,
    LinkMode,
    Manifest,
    Operation,
    Places,
    Platform,
    Project,
    Refused,
    Sample,
    Uv,
    Verdict,
    Verification,
)
from uv_link_doctor.engine.setting_findings import setting_findings
from uv_link_doctor.host import Host, cache, environment, state
from uv_link_doctor.host.cache_environments import names_that_break, tool_environments
from uv_link_doctor.host.homes import homes, moved_environment
from uv_link_doctor.host.sample import sample
from uv_link_doctor.host.synced import sync_roots
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.options import Options
from uv_link_doctor.project import directory_of, find_manifest, lockfile_of, nearest_environment, workspace_root

PLATFORM = {"win32": Platform.WINDOWS, "darwin": Platform.MACOS}.get(sys.platform, Platform.LINUX)
"""The platform whose error numbers our own runs speak in."""


@dataclass(frozen=True, slots=True)
class Case:
    """A project, the uv it is installed with, the machine, and how the user wants it: all that a look is about."""

    project: Project
    uv: Uv | None
    host: Host
    options: Options

    @property
    def environ(self) -> dict[str, str]:
        """The variables that decide where things are, those of the settings included."""
        return environ_of(self.host, self.options)

    def examination(self, verdict: Verdict, *found: Finding | None) -> Examination:
        """An examination that came to no run."""
        return Examination(verdict=verdict, findings=tuple(filter(None, found)), uv=self.uv, project=self.project)

    def verify(self, packages: tuple[str, ...] | None, *, hashes: bool = False) -> Verification:
        """What is on disk, also of packages that were incomplete before; None for the packages means of all of them."""
        if packages is not None and (before := state.load(self.host.state, self.project.subject).incomplete):
            there = {it.name for it in environment.installed(self.project.environment).distributions}
            packages = tuple(dict.fromkeys((*packages, *(there & {*before}))))
        arguments = self.options.sync_args
        expected = not self.environ.get("UV_NO_INSTALLER_METADATA") and "--no-installer-metadata" not in arguments
        return environment.verify(
            self.project.environment, packages=packages, installer_expected=expected, hashes=hashes
        )

    def invocation(self) -> settings.Invocation:
        """How uv is called for the project, without what we would add."""
        version = self.uv.version if self.uv else None
        return _invocation(self.project.directory, self.project.manifest, self.environ, self.options, version)

    def setting_place(self) -> settings.SettingPlace | None:
        """Where a `link-mode` takes effect for the project; None where no file has a say."""
        project = self.project
        place = settings.file_in_force(project.root, self.invocation(), self.host.read_text)
        if place is not None and project.kind.by_pip and self.host.read_text(place.path) is None:
            return settings.SettingPlace(project.root / "uv.toml", ("link-mode",))  # No new uv project.
        return place

    def ends(self) -> tuple[Path, Path]:
        """The two ends of a link, whether or not they exist."""
        return Path(self.project.settings.cache_dir.value), self.project.environment

    def places(self, *, passive: bool) -> Places:
        """What is known of both ends; unless `passive`, a trial tells whether a link works."""
        return self.host.places(*self.ends(), environ=self.environ, passive=passive)

    def lock_text(self) -> str | None:
        """The lockfile, where there is one that can be read."""
        return text_or_nothing(self.project.lockfile, self.host) if self.project.lockfile else None

    def wanted(self) -> Mapping[str, Collection[str]]:
        """The packages of the project, with their versions: those of its lockfile, else what is installed."""
        if text := self.lock_text():
            return lockfile.versions(text)
        found = environment.installed(self.project.environment).distributions
        return {distribution.name: {distribution.version} for distribution in found}

    def stock(self) -> cache.Stock:
        """What the cache holds of these packages."""
        return cache.stock(self.ends()[0], self.wanted())

    def sample(self, stock: cache.Stock) -> Sample | None:
        """What a few files of these packages take to place, by trial; None where trials are not wanted."""
        if self.options.passive or not self.options.trusted:
            return None
        return sample(stock.entries, *self.ends())

    def refused(
        self, ends: Places, stock: cache.Stock | None = None, *, named: Collection[str] = (), passive: bool
    ) -> tuple[Refused, ...]:
        """The project's packages whose files in the cache take no further link, and who shares these files.

        On a file system of the kernel's own one file speaks for its wheel, but for those that uv `named`; a sync client
        takes them one by one. Without the `stock` it is looked up.
        """
        directory = self.ends()[0]
        every_file = cache.taken_one_by_one(ends.cache.filesystem)
        listed = (stock or self.stock()).entries
        found = cache.refused(directory, listed, every_file=every_file, named=named, passive=passive)
        roots = {root: None for root, _ in sync_roots(environ=self.environ)} if found else {}
        nearby = [*cache.environments_below(roots)]
        return tuple(replace(it, environments=cache.sharing(it, nearby)) for it in found)

    def lost(self, broken: Collection[str], stock: cache.Stock | None = None) -> tuple[str, ...]:
        """Those of some packages whose entries in the cache lack files, so that an install from there would, too."""
        found = (stock or self.stock()).entries
        return tuple(dict.fromkeys(it.package for it in found if it.package in broken and cache.lacks_files(it)))

    def sync_command(
        self, uv: Uv, *, link_mode: LinkMode | None = None, reinstall: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The command that installs the project, with copies where they are wanted or remembered."""
        mode = _forced_mode(self.project.remembered_copy, self.options, link_mode)
        return plan.sync_command(
            uv.path,
            verb=plan.verb(self.project.manifest, self.project.environment),
            link_mode=mode,
            reinstall=reinstall,
            args=self.options.sync_args,
        )

    def homes(self) -> tuple[Home, ...]:
        """Where else the cache could live, by trial."""
        return homes(*self.ends(), self.project.root, environ=self.environ)

    def need_the_cache_there(self) -> tuple[Path, ...]:
        """The environments that need the cache's present path."""
        cache, environment = self.ends()
        return tuple(it.path for it in names_that_break(cache, (*tool_environments(self.environ), environment)))

    def user_file(self) -> Path | None:
        """The user's own uv.toml, if a link mode in it would count for this project."""
        users = settings.user_file(self.invocation())
        place = settings.SettingPlace(users, ("link-mode",))
        counts = settings.would_count(place, LinkMode.COPY, self.project.root, self.invocation(), self.host.read_text)
        return users if counts else None

    def cache_file(self, home: Path) -> Path | None:
        """The file in which this place for the cache would count: the user's own, else the one that names another."""
        known, root = self.project.settings.cache_dir, self.project.root
        place = settings.place_for_cache_dir(str(home), known, root, self.invocation(), self.host.read_text)
        return place.path if place else None

    def new_environment(self, ends: Places) -> Path | None:
        """Where the environment could live instead of in a folder that is synced, or that cannot take links.

        Only for an environment that lies in the project: whoever has named another place has chosen it.
        """
        place, project = ends.environment, self.project
        wrong = place.synced_by is not None or place.network or place.fuse is not None
        if project.kind is not Kind.UV or project.environment != project.root / ".venv" or not wrong:
            return None
        new = moved_environment(self.host.state, project.root)
        there = self.host.places(self.ends()[0], new, environ=self.environ, passive=False)
        fits = there.trial.works.get(Operation.HARDLINK) and there.environment.synced_by is None
        return new if fits else None

    def overruling(self) -> str:
        """What there is no such place for, in words."""
        return settings.overruling(self.project.root, self.invocation(), self.host.read_text) or ""

    def about_settings(self) -> tuple[Finding, ...]:
        """What uv refuses of the settings, or leaves without effect."""
        project, arguments = self.project, self.options.sync_args
        ours = not any(argument.startswith("--link-mode") for argument in arguments)
        return setting_findings(
            project.settings, project.manifest, project.root, directory=project.directory, own_option=ours
        )


async def read_case(
    path: Path,
    host: Host,
    options: Options,
    *,
    ask: bool,
    link_mode: LinkMode | None = None,
    version: tuple[int, int, int] | None = None,
) -> Case:
    """The project that holds the path and the uv it would be installed with; raises DoctorError.

    `ask=False` starts no process, so that uv's version stays unknown, or what `version` says; `link_mode` is one that a
    run is to use.
    """
    environ = environ_of(host, options)
    manifest = find_manifest(path, host.read_text)
    root = workspace_root(manifest, host.read_text)
    directory = directory_of(manifest)
    uv = await find_uv(options.uv_path, environ, ask=ask)
    subject = root if manifest.kind is Kind.UV else manifest.path  # As `Project.subject`, before there is one.
    remembered_copy = state.load(host.state, subject).copy_because is not None
    invocation = _invocation(directory, manifest, environ, options, (uv.version if uv else None) or version)
    if mode := _forced_mode(remembered_copy, options, link_mode):
        invocation = replace(invocation, arguments=(*invocation.arguments, "--link-mode", mode))
    in_force = settings.effective(root, invocation, host.read_text)
    project = Project(
        directory=directory,
        root=root,
        manifest=manifest,
        environment=Path(in_force.environment.value) if in_force.environment else root / ".venv",
        lockfile=lockfile_of(manifest, root),
        settings=in_force,
        remembered_copy=remembered_copy,
    )
    if manifest.kind.by_pip:
        here = nearest_environment(manifest.path.parent, root)
        project = replace(project, environment=environment.followed(here))
    case = Case(project, uv, host, options)
    return await _with_script_environment(case, ask=ask) if manifest.kind is Kind.SCRIPT else case


async def _with_script_environment(case: Case, *, ask: bool) -> Case:
    """The case of a script with its environment, which uv keeps in its cache under a name of its own.

    Until uv has been asked and has made one, it is the directory in which uv makes them: the same file system.
    """
    project = case.project
    place = Path(project.settings.cache_dir.value) / "environments-v2"
    question = plan.find_script_command(case.uv, project.manifest.path) if ask and case.uv else None
    if question is not None:
        variables = plan.sync_environ(case.host.environ, case.options.environment)
        variables.pop("UV_SYSTEM_PYTHON", None)  # uv refuses it together with `--script`, whatever it says.
        said = await case.host.run(question, cwd=project.directory, environ=variables)
        found = Path(said.stdout.strip()).parent.parent
        if said.exit_code == 0 and re.fullmatch(r"environments-v\d+", found.parent.name):
            place = found
    return replace(case, project=replace(project, environment=place))


def _forced_mode(remembered_copy: bool, options: Options, wanted: LinkMode | None) -> LinkMode | None:  # noqa: FBT001
    """The link mode that uv is given beyond the user's arguments: the wanted one, else the remembered one."""
    if wanted is not None or not remembered_copy or any(it.startswith("--link-mode") for it in options.sync_args):
        return wanted
    return LinkMode.COPY


def environ_of(host: Host, options: Options) -> dict[str, str]:
    """The variables uv will see; an empty value in the settings unsets one, as in `plan.sync_environ`."""
    given = {**host.environ, **options.environment}
    return {name: value for name, value in given.items() if value or name not in options.environment}


def _invocation(
    directory: Path,
    manifest: Manifest,
    environ: Mapping[str, str],
    options: Options,
    version: tuple[int, int, int] | None,
) -> settings.Invocation:
    """How uv is called for a project, as far as its settings depend on it."""
    return settings.Invocation(
        directory=directory,
        environ=environ,
        arguments=(*plan.verb(manifest), *options.sync_args),
        script=manifest.path if manifest.kind is Kind.SCRIPT else None,
        pip=manifest.kind.by_pip,
        version=version,
        platform=PLATFORM,
        home=Path(environ.get("HOME") or Path.home()),
    )


def text_or_nothing(path: Path, host: Host) -> str:
    """A file's text; nothing where there is none, or where it cannot be read."""
    try:
        return host.read_text(path) or ""
    except DoctorError:
        return ""

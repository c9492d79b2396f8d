"""The one path: read the project, run uv, read what it said, look at the files, explain."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from uv_link_doctor.engine import findings as explain_findings
from uv_link_doctor.engine import lockfile, manifests, plan, predictions, settings, transcript
from uv_link_doctor.engine.facts import Facts
from uv_link_doctor.engine.model import (
    Complaint,
    DoctorError,
    Examination,
    Failure,
    Finding,
    Kind,
    LinkMode,
    Manifest,
    Operation,
    Outcome,
    Places,
    Platform,
    Project,
    Reading,
    Refused,
    Sample,
    Transcript,
    Uv,
    Verdict,
    Verification,
    Weight,
)
from uv_link_doctor.engine.setting_findings import setting_findings, with_settings
from uv_link_doctor.host import Host, cache, environment, state
from uv_link_doctor.host.foresight import foresee
from uv_link_doctor.host.homes import homes, is_a_rename, moved_environment
from uv_link_doctor.host.sample import sample
from uv_link_doctor.host.synced import sync_roots, synced_by
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.options import Options
from uv_link_doctor.project import (
    directory_of,
    find_manifest,
    lockfile_of,
    member_manifests,
    nearest_environment,
    understood,
    workspace_root,
)

PLATFORM = {"win32": Platform.WINDOWS, "darwin": Platform.MACOS}.get(sys.platform, Platform.LINUX)
"""The platform whose error numbers our own runs speak in."""

OnLine = Callable[[str], None]


async def examine(
    path: Path,
    host: Host,
    options: Options,
    *,
    link_mode: LinkMode | None = None,
    reinstall: tuple[str, ...] = (),
    agreed: bool = True,
    quick: bool = False,
    on_line: OnLine | None = None,
    stop: asyncio.Event | None = None,
) -> Examination:
    """Installs the project that holds the path, and explains what went wrong.

    `agreed=False` asks uv first: what would remove something, or download a Python, is then not done, and the finding
    that asks for the user's word comes instead. `quick` leaves out the places where nothing is wrong. `stop` ends the
    run, and what it left is looked at. After a clean run the files of the packages it installed are left to
    `look_at_files`. Raises DoctorError.
    """
    case = await read_case(path, host, options, ask=True, link_mode=link_mode)
    missing = explain_findings.uv_missing(case.uv, options.uv_path, case.project.manifest)
    if case.uv is None or missing is not None:
        return case.examination(Verdict.NOT_RUN, missing)
    _refuse_impossible(case)
    if (agreed or link_mode or reinstall) and case.project.kind is Kind.REQUIREMENTS:
        _remember_choice(case)
    command = case.sync_command(case.uv, link_mode=link_mode, reinstall=reinstall)
    # Whoever forbids downloads is not asked to allow one.
    downloads = agreed or case.environ.get("UV_PYTHON_DOWNLOADS") in {"never", "manual"}
    variables = plan.sync_environ(host.environ, options.environment, args=options.sync_args, python_downloads=downloads)
    said = looked = None
    if not agreed:
        intent, said, looked = await _intent(command, case, variables, on_line=on_line, stop=stop)
        if asks := explain_findings.asks(intent, case.project, downloads=downloads):
            return case.examination(Verdict.NOT_RUN, asks)
    if said is None:
        said = await host.run(command, cwd=case.project.directory, environ=variables, on_line=on_line, stop=stop)
    if not agreed and (asks := explain_findings.asks(plan.read_intent(said), case.project, downloads=downloads)):
        return replace(case.examination(Verdict.NOT_RUN, asks), transcript=said)
    stopped = stop is not None and stop.is_set()
    return await asyncio.to_thread(_explained, said, case, looked, stopped=stopped, quick=quick)


async def check(
    path: Path,
    host: Host,
    options: Options,
    *,
    passive: bool = False,
    ask: bool = True,
    thorough: bool = False,
    hashes: bool = False,
) -> Examination:
    """Looks at the project, its settings, places and environment, and installs nothing.

    `passive` leaves no trial file, `ask=False` starts no process; `thorough` looks at every file of every package,
    `hashes` at their contents, too. Raises DoctorError.
    """
    case = await read_case(path, host, options, ask=ask)
    packages = None if thorough or hashes else ()
    found = await asyncio.to_thread(_checked, case, packages, passive=passive or options.passive, hashes=hashes)
    missing = explain_findings.uv_missing(case.uv, options.uv_path, case.project.manifest)
    if missing is not None and (ask or case.uv is None):
        return replace(found, verdict=Verdict.NOT_RUN, findings=(missing, *found.findings))
    return found


def explain(text: str | Iterable[str], platform: Platform | None = None) -> Examination:
    """What a pasted text of uv says, whole or in pieces; touches nothing."""
    reading = transcript.read(text, platform)
    return Examination(verdict=_verdict(reading, None), findings=explain_findings.findings(reading))


async def with_places(examination: Examination, host: Host, options: Options) -> Examination:
    """The examination with both ends of a link, which a quick one has left out."""
    if examination.project is None or examination.places is not None:
        return examination
    case = Case(examination.project, examination.uv, host, options)
    passive = options.passive or not options.trusted
    return replace(examination, places=await asyncio.to_thread(case.places, passive=passive))


async def weigh(path: Path, host: Host, options: Options) -> Weight:
    """What the packages of the path's project come to, by its lockfile and uv's cache; raises DoctorError."""
    case = await read_case(path, host, options, ask=False)
    return await asyncio.to_thread(cache.weigh, await asyncio.to_thread(case.stock))


async def measure(path: Path, host: Host, options: Options) -> tuple[Weight, Sample | None]:
    """The same, and what a few of their files take to place: it writes them beside the environment and removes them.

    Nothing is written where trials are not wanted. Raises DoctorError.
    """
    case = await read_case(path, host, options, ask=False)
    stock = await asyncio.to_thread(case.stock)
    weight = await asyncio.to_thread(cache.weigh, stock)
    return weight, await asyncio.to_thread(case.sample, stock)


async def sync_command(path: Path, host: Host, options: Options) -> tuple[str, ...]:
    """The command that a save would run for the project that holds the path; raises DoctorError, also without a uv."""
    case = await read_case(path, host, options, ask=False)
    if case.uv is None:
        raise DoctorError("there is no uv to run", "install uv, or name it in the setting `uvLinkDoctor.uvPath`")
    return case.sync_command(case.uv)


async def look_at_files(examination: Examination, host: Host, options: Options, *, every: bool = False) -> Examination:
    """The examination of a clean run with a closer look: at all files of the packages it installed, or of every one."""
    project, said = examination.project, examination.transcript
    if project is None or said is None or examination.findings:
        return examination
    installed = None if every else tuple(name for name, _ in transcript.read(said.stderr, PLATFORM).installed)
    if installed == ():
        return examination
    case = Case(project, examination.uv, host, options)
    verification = await asyncio.to_thread(case.verify, installed)
    if not verification.broken:
        return replace(examination, verification=verification)
    reading = Reading(platform=PLATFORM)
    found = explain_findings.findings(reading, _facts(reading, verification, case, passive=True))
    return replace(examination, verdict=Verdict.FAILED, findings=found, verification=verification)


# --- a project on this machine ------------------------------------------------------------


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
        """What is on disk; None for the packages means every file of all of them."""
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
        return _text_or_nothing(self.project.lockfile, self.host) if self.project.lockfile else None

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

    def refused(self, ends: Places, stock: cache.Stock | None = None, *, passive: bool) -> tuple[Refused, ...]:
        """The project's packages whose files in the cache take no further link, and who shares these files.

        On a file system of the kernel's own one file speaks for its wheel; a sync client takes them one by one. Without
        the `stock` it is looked up.
        """
        directory = self.ends()[0]
        every_file = cache.taken_one_by_one(ends.cache.filesystem)
        listed = (stock or self.stock()).entries
        found = cache.refused(directory, listed, every_file=every_file, passive=passive)
        roots = {root: None for root, _ in sync_roots(environ=self.environ)} if found else {}
        nearby = [*cache.environments_below(roots)]
        return tuple(replace(it, environments=cache.sharing(it, nearby)) for it in found)

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

    def homes(self) -> tuple[Path, ...]:
        """Where else the cache could live, by trial."""
        return homes(*self.ends(), self.project.root, environ=self.environ)

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


async def read_case(path: Path, host: Host, options: Options, *, ask: bool, link_mode: LinkMode | None = None) -> Case:
    """The project that holds the path and the uv it would be installed with; raises DoctorError.

    `ask=False` starts no process, so that uv's version stays unknown; `link_mode` is one that a run is to use.
    """
    environ = environ_of(host, options)
    manifest = find_manifest(path, host.read_text)
    root = workspace_root(manifest, host.read_text)
    directory = directory_of(manifest)
    uv = await find_uv(options.uv_path, environ, ask=ask)
    subject = root if manifest.kind is Kind.UV else manifest.path  # As `Project.subject`, before there is one.
    remembered_copy = state.load(host.state, subject).copy_because is not None
    invocation = _invocation(directory, manifest, environ, options, uv.version if uv else None)
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


def _refuse_impossible(case: Case) -> None:
    """Raises DoctorError where nothing could be installed, or only in another place than the project's own."""
    project, uv = case.project, case.uv
    oldest = None if uv is None else plan.too_old_for(project.kind, uv)
    name = project.manifest.path.name
    if oldest is not None:
        raise DoctorError(f"`{name}` needs uv {oldest} or a later one to be installed", "update uv")
    if project.kind.by_pip and not (project.environment / "pyvenv.cfg").is_file():
        raise DoctorError(
            f"there is no environment to install `{name}` into: no `.venv` beside it or above",
            f"make one with `uv venv` in `{project.directory}`; nothing is ever installed into another Python",
        )


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


# --- a run and what it says ---------------------------------------------------------------


async def _intent(
    command: tuple[str, ...],
    case: Case,
    variables: Mapping[str, str],
    *,
    on_line: OnLine | None,
    stop: asyncio.Event | None,
) -> tuple[plan.Intent, Transcript | None, Verification | None]:
    """What the command would do, and what uv said where that settles it: it failed, or it has nothing to do.

    A run after a failed question would be no wiser, but might delete the environment before it fails in the same way.
    The third is a look at the files while uv thinks, which changes none, and for which no other uv has made it wait.
    """
    project = case.project
    if project.kind.by_pip:
        return plan.Intent(), None, None  # `uv pip install` removes nothing, and uses the environment that there is.
    question = None if case.uv is None else plan.dry_run_command(command, case.uv)
    if question is None:
        if environment.is_forsaken(project.environment):
            return plan.Intent(recreates=True), None, None
        pin = case.host.read_text(project.root / ".python-version")
        requires = manifests.requires_python(project.manifest)
        return plan.unasked_intent(environment.python_version(project.environment), requires, pin), None, None

    def on_question(line: str) -> None:
        # What a question would do is not what is being done; that it has to wait is.
        if on_line is not None and transcript.waits(line):
            on_line(line)

    said, looked = await asyncio.gather(
        case.host.run(question, cwd=project.directory, environ=variables, on_line=on_question, stop=stop),
        asyncio.to_thread(case.verify, ()),
    )
    intent = plan.read_intent(said)
    if said.exit_code == 0 and not intent.idle:
        return intent, None, None
    return intent, said, None if any(map(transcript.waits, said.stderr.splitlines())) else looked


def _explained(said: Transcript, case: Case, looked: Verification | None, *, stopped: bool, quick: bool) -> Examination:
    """The examination of a finished run: its text read, the files looked at, the failures explained.

    `looked` is an earlier look at the files, if the run has changed none; where some were missing, it is taken again.
    """
    reading = transcript.read(said.stderr, PLATFORM)
    if said.exit_code != 0 and not stopped and reading.complaint is None and not _failed(reading):
        reading = replace(reading, complaint=Complaint(message=_ending(said)))
    clean = said.exit_code == 0 and reading.complaint is None and not _failed(reading)
    said_failures = reading.failures
    project = replace(case.project, lockfile=lockfile_of(case.project.manifest, case.project.root))
    if project.kind is Kind.SCRIPT and (place := plan.script_environment(said)):
        project, looked = replace(project, environment=project.directory / place), None
    case = replace(case, project=project)
    verification = looked if clean and looked and looked.verified else case.verify(() if clean else None)
    remembered = state.load(case.host.state, case.project.subject)
    if clean and not reading.failures:
        # uv does not repeat what it could not do while it finds nothing to install: the machine has to say it is over.
        reading = replace(
            reading, failures=_held(remembered, case, verification, reading, passive=case.options.passive)
        )
    wrong = not clean or bool(reading.failures or verification.broken)
    synced = synced_by(case.project.environment, environ=case.environ) is not None
    facts = None
    if wrong or synced or not quick:
        facts = _facts(reading, verification, case, passive=case.options.passive or not reading.failures)
    found = explain_findings.findings(reading, facts) if wrong else ()
    if facts is not None and clean and not found:
        found = _ahead(facts, case, passive=True)
    found = with_settings(found, case.about_settings())
    if said_failures or clean:
        _remember_failure(said if said_failures else None, remembered, case, keep=bool(reading.failures))
    verdict = _verdict(reading, verification)
    return Examination(
        verdict=Verdict.NOT_RUN if stopped and verdict is Verdict.HEALTHY else verdict,
        findings=found,
        uv=case.uv,
        project=case.project,
        places=None if facts is None else facts.places,
        transcript=said,
        verification=verification,
    )


def _checked(case: Case, packages: tuple[str, ...] | None, *, passive: bool, hashes: bool) -> Examination:
    """The examination of a project without a run: its files, and the last failure as long as it still holds."""
    verification = case.verify(packages, hashes=hashes)
    remembered = state.load(case.host.state, case.project.subject)
    held = _held(remembered, case, verification, None, passive=passive)
    reading = Reading(platform=PLATFORM, failures=held)
    facts = _facts(reading, verification, case, passive=passive)
    found = explain_findings.findings(reading, facts) or _ahead(facts, case, passive=passive)
    found = with_settings(found, case.about_settings())
    return Examination(
        verdict=Verdict.NOT_RUN if found else Verdict.HEALTHY,
        findings=found,
        uv=case.uv,
        project=case.project,
        places=facts.places,
        verification=verification,
    )


def _held(
    remembered: state.ProjectState, case: Case, verification: Verification, clean: Reading | None, *, passive: bool
) -> tuple[Failure, ...]:
    """The failures of the last run that had any, as far as they would still be so.

    `clean` is what a run has said since then that had none: a package it left out is not wanted, and one that it has
    installed would have met a lasting trouble with links again.
    """
    last = remembered.last_failure
    failures = () if last is None else transcript.read(last.stderr, PLATFORM).failures
    held = []
    for failure in failures:
        if failure.outcome is Outcome.DEGRADED:
            holds = not (clean and clean.installed) and _links_fail(failure, case, passive=passive)
        else:
            holds = bool(verification.broken) or (clean is None and _is_wanted(failure.package, case))
        if holds:
            held.append(failure)
    return tuple(held)


def _is_wanted(package: str | None, case: Case) -> bool:
    """Whether an environment lacks a package that its lockfile, as far as there is one, names."""
    project = case.project
    if package is None or not project.environment.exists():
        return False
    names = {found.name for found in environment.installed(project.environment).distributions}
    lock = _text_or_nothing(project.lockfile, case.host) if project.lockfile else ""
    return package not in names and (not lock or lockfile.entry(lock, package) is not None)


def _links_fail(failure: Failure, case: Case, *, passive: bool) -> bool:
    """Whether the next install would fall back again: it is to link, and no trial shows that this works by now."""
    settings_in_force = case.project.settings
    if settings_in_force.link_mode.value == LinkMode.COPY or failure.operation is None:
        return False
    return case.places(passive=passive).trial.works.get(failure.operation) is not True


def _facts(reading: Reading, verification: Verification, case: Case, *, passive: bool) -> Facts:
    """What the machine shows; the costly parts (lockfile, other manifests) only where something is wrong."""
    project = case.project
    named = project.directory / reading.complaint.path if reading.complaint and reading.complaint.path else None
    facts = Facts(
        project=project,
        platform=PLATFORM,
        uv=case.uv.path if case.uv else Path("uv"),
        verification=verification,
        places=case.places(passive=passive),
        manifests=(project.manifest,),
        lock_text=None,
        setting_file=None,
        texts={named: _text_or_nothing(named, case.host)} if named else {},
        uv_version=case.uv.version if case.uv else None,
        gone=any(it.source and not (project.directory / it.source).exists() for it in reading.failures),
    )
    if not (reading.failures or reading.complaint or verification.broken):
        return facts
    passive = passive or not reading.failures
    stock = case.stock()
    if not passive and _links(project):
        facts = replace(facts, refused=case.refused(facts.places, stock, passive=False))
    return _whole(facts, case, stock, passive=passive)


def _whole(facts: Facts, case: Case, stock: cache.Stock, *, passive: bool) -> Facts:
    """The facts with those that cost something to learn, and that only a finding needs."""
    place = case.setting_place()
    facts = replace(
        facts,
        manifests=_manifests(case),
        lock_text=case.lock_text(),
        setting_file=place.path if place else None,
        user_file=case.user_file(),
        overruling=case.overruling() if place is None else None,
        weight=cache.weigh(stock),
    )
    if passive or not _links(case.project):
        return facts
    found = case.homes()
    return replace(
        facts,
        sample=case.sample(stock),
        homes=found,
        renamed=bool(found) and is_a_rename(case.ends()[0], found[0]),
        cache_file=case.cache_file(found[0]) if found else None,
        new_environment=case.new_environment(facts.places),
    )


def _ahead(facts: Facts, case: Case, *, passive: bool) -> tuple[Finding, ...]:
    """What the next install would meet; where nothing shows that, nothing more is looked at."""
    if not passive:  # Our own new file may be linked where some of the cache's may not.
        trial = predictions.with_foresight(facts.places.trial, foresee(*case.ends()))
        facts = replace(facts, places=replace(facts.places, trial=trial))
    expected = predictions.prediction(facts) is not None
    asked = _links(case.project) and not (passive and PLATFORM is Platform.LINUX)  # Where files carry no marks.
    if not expected and not asked:
        return ()
    stock = case.stock()
    refused = case.refused(facts.places, stock, passive=passive) if asked else ()
    if not expected and not refused:
        return ()
    facts = _whole(replace(facts, refused=refused), case, stock, passive=passive)
    return tuple(filter(None, (predictions.prediction(facts), predictions.taint(facts))))


def _links(project: Project) -> bool:
    """Whether the next install would give files of the cache a further name."""
    return project.settings.link_mode.value != LinkMode.COPY


def _manifests(case: Case) -> tuple[Manifest, ...]:
    """The project's own manifest first, then those of its workspace, as far as they can be read."""
    found = [case.project.manifest]
    if case.project.kind is not Kind.UV:
        return tuple(found)
    for path in member_manifests(case.project.root, case.host.read_text):
        if path != case.project.manifest.path:
            with suppress(DoctorError):  # Another member's fault is shown when that member is looked at.
                found.append(understood(path, _text_or_nothing(path, case.host)))
    return tuple(found)


def _text_or_nothing(path: Path, host: Host) -> str:
    try:
        return host.read_text(path) or ""
    except DoctorError:
        return ""


def _verdict(reading: Reading, verification: Verification | None) -> Verdict:
    if _failed(reading) or (verification is not None and verification.broken):
        return Verdict.FAILED
    if reading.failures:
        return Verdict.DEGRADED
    if reading.complaint is not None or verification is None:
        return Verdict.NOT_A_LINK_FAILURE
    return Verdict.HEALTHY


def _failed(reading: Reading) -> bool:
    return any(failure.outcome is Outcome.FAILED for failure in reading.failures)


def _ending(said: Transcript) -> str:
    """What can be said of a uv that ended without a word."""
    if said.exit_code is not None and said.exit_code < 0:
        return f"uv was ended by {signal.Signals(-said.exit_code).name} before it had finished"
    return f"uv ended with exit code {said.exit_code} and did not say why"


def _remember_choice(case: Case) -> None:
    """Remembers that its user has installed it once, so that a save may do so from now on."""
    remembered = state.load(case.host.state, case.project.subject)
    if not remembered.chosen:
        with suppress(OSError):  # Without it, a save goes on doing less.
            state.save(case.host.state, replace(remembered, chosen=True))


def _remember_failure(said: Transcript | None, remembered: state.ProjectState, case: Case, *, keep: bool) -> None:
    """Remembers a run with failures; forgets the one before after a clean run, unless it is to be kept."""
    if remembered.last_failure != said and not (said is None and keep):
        with suppress(OSError):  # Without it, only a later `check` knows less.
            state.save(case.host.state, replace(remembered, last_failure=said))

"""The one path: read the project, run uv, read what it said, look at the files, explain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from uv_link_doctor.case import PLATFORM, Case, read_case, text_or_nothing
from uv_link_doctor.engine import findings as explain_findings
from uv_link_doctor.engine import lockfile, manifests, plan, predictions, transcript
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
    Outcome,
    Platform,
    Project,
    Reading,
    Sample,
    Transcript,
    Verdict,
    Verification,
    Weight,
)
from uv_link_doctor.engine.remedies import LINK_OPERATIONS, lasts
from uv_link_doctor.engine.setting_findings import with_settings
from uv_link_doctor.host import Host, cache, environment, state
from uv_link_doctor.host.environment_move import taken_up
from uv_link_doctor.host.foresight import foresee
from uv_link_doctor.host.synced import synced_by
from uv_link_doctor.host.threads import in_thread
from uv_link_doctor.options import Options
from uv_link_doctor.project import lockfile_of, member_manifests, understood

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
    refuse_impossible(case)
    if (agreed or link_mode or reinstall) and case.project.kind is Kind.REQUIREMENTS:
        _remember_choice(case)
    command = case.sync_command(case.uv, link_mode=link_mode, reinstall=reinstall)
    # Whoever forbids downloads is not asked to allow one.
    downloads = agreed or case.environ.get("UV_PYTHON_DOWNLOADS") in {"never", "manual"}
    variables = plan.sync_environ(host.environ, options.environment, args=options.sync_args, python_downloads=downloads)
    variables |= await in_thread(taken_up, case.project.environment, host.state)
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
    return await in_thread(_explained, said, case, looked, stopped=stopped, quick=quick)


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
    found = await in_thread(_checked, case, packages, passive=passive or options.passive, hashes=hashes)
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
    return replace(examination, places=await in_thread(case.places, passive=passive))


async def weigh(path: Path, host: Host, options: Options) -> Weight:
    """What the packages of the path's project come to, by its lockfile and uv's cache; raises DoctorError."""
    case = await read_case(path, host, options, ask=False)
    return await in_thread(cache.weigh, await in_thread(case.stock))


async def measure(path: Path, host: Host, options: Options) -> tuple[Weight, Sample | None]:
    """The same, and what a few of their files take to place: it writes them beside the environment and removes them.

    Nothing is written where trials are not wanted. Raises DoctorError.
    """
    case = await read_case(path, host, options, ask=False)
    stock = await in_thread(case.stock)
    weight = await in_thread(cache.weigh, stock)
    return weight, await in_thread(case.sample, stock)


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
    verification = await in_thread(case.verify, installed)
    _remember_incomplete(verification, case)
    if not verification.broken:
        return replace(examination, verification=verification)
    reading = Reading(platform=PLATFORM)
    found = explain_findings.findings(reading, _facts(reading, verification, case, passive=options.passive))
    return replace(examination, verdict=Verdict.FAILED, findings=found, verification=verification)


# --- a run and what it says ---------------------------------------------------------------


def refuse_impossible(case: Case) -> None:
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
        in_thread(case.verify, ()),
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
        held = _held(remembered, case, verification, reading, passive=case.options.passive)
        reading = replace(reading, failures=held.failures, installed=held.installed or reading.installed)
    wrong = not clean or bool(reading.failures or verification.broken)
    synced = synced_by(case.project.environment, environ=case.environ) is not None
    facts = None
    if wrong or synced or not quick:
        nothing = not (reading.failures or verification.broken)
        facts = _facts(reading, verification, case, passive=case.options.passive or nothing)
        facts = replace(facts, ended_well=clean)
    found = explain_findings.findings(reading, facts) if wrong else ()
    if facts is not None and clean and not found:
        found = _ahead(facts, case, passive=True)
    found = with_settings(found, case.about_settings())
    known = _with_incomplete(remembered, verification)
    if said_failures or clean:
        known = _with_failure(known, said if said_failures else None, keep=bool(reading.failures))
    _remember(known, remembered, case)
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
    reading = _held(remembered, case, verification, None, passive=passive)
    facts = replace(_facts(reading, verification, case, passive=passive), ended_well=remembered.ended_well)
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
) -> Reading:
    """The failures of the last run that had any, as far as they would still be so, and what that had installed.

    `clean` is what a run has said since then that had none: a package it left out is not wanted, and one that it has
    installed would have met a lasting trouble with links again.
    """
    last = remembered.last_failure
    said = Reading(platform=PLATFORM) if last is None else transcript.read(last.stderr, PLATFORM)
    held = []
    for failure in said.failures:
        if failure.outcome is Outcome.DEGRADED:
            holds = not (clean and clean.installed) and _links_fail(failure, case, passive=passive)
        else:
            # uv went on and installed the rest: only a link that is refused for good would be refused once more.
            again = clean is None or (failure.operation in LINK_OPERATIONS and lasts(failure.cause))
            holds = (again and bool(verification.broken)) or (clean is None and _is_wanted(failure.package, case))
        if holds:
            held.append(failure)
    return Reading(platform=PLATFORM, failures=tuple(held), installed=said.installed if held else ())


def _is_wanted(package: str | None, case: Case) -> bool:
    """Whether an environment lacks a package that its lockfile, as far as there is one, names."""
    project = case.project
    if package is None or not project.environment.exists():
        return False
    names = {found.name for found in environment.installed(project.environment).distributions}
    lock = text_or_nothing(project.lockfile, case.host) if project.lockfile else ""
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
        texts={named: text_or_nothing(named, case.host)} if named else {},
        uv_version=case.uv.version if case.uv else None,
        unreadable=any(it.source and _is_closed(project.directory / it.source) for it in reading.failures),
        gone=any(it.source and not (project.directory / it.source).exists() for it in reading.failures),
    )
    if not (reading.failures or reading.complaint or verification.broken):
        return facts
    stock = case.stock()
    broken = {it.package for it in verification.broken}
    facts = replace(facts, lost=case.lost(broken, stock))
    if not passive and _links(project):
        sources = tuple(it.source for it in reading.failures if it.source)
        # Nobody may have seen what broke them: then it is asked whether they would meet it again.
        asked = stock if reading.failures else stock.of(broken)
        facts = replace(facts, refused=case.refused(facts.places, asked, named=sources, passive=False))
    return _whole(facts, case, stock, passive=passive or not reading.failures)


def _is_closed(path: Path) -> bool:
    """Whether a file is there and may not be read."""
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:  # Whether a cloud client or a network brings it back is for its cause to say.
        return False
    return False


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
        breaking=case.need_the_cache_there() if found else (),
        cache_file=case.cache_file(found[0].path) if found else None,
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
                found.append(understood(path, text_or_nothing(path, case.host)))
    return tuple(found)


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
            state.change(case.host.state, case.project.subject, lambda now: replace(now, chosen=True))


def _remember_incomplete(verification: Verification, case: Case) -> None:
    """Remembers after a run what lacks files, for later looks at what else would need none."""
    remembered = state.load(case.host.state, case.project.subject)
    _remember(_with_incomplete(remembered, verification), remembered, case)


def _with_incomplete(remembered: state.ProjectState, verification: Verification) -> state.ProjectState:
    return replace(remembered, incomplete=tuple(it.package for it in verification.broken))


def _with_failure(remembered: state.ProjectState, said: Transcript | None, *, keep: bool) -> state.ProjectState:
    """With a run that had failures; without the one before after a clean run, unless it is to be kept."""
    if said is None and keep:
        return replace(remembered, ended_well=True)
    return replace(remembered, last_failure=said, ended_well=False)


def _remember(known: state.ProjectState, before: state.ProjectState, case: Case) -> None:
    if known != before:
        with suppress(OSError):  # Without it, only a later look knows less.
            taught = partial(
                replace, incomplete=known.incomplete, last_failure=known.last_failure, ended_well=known.ended_well
            )
            state.change(case.host.state, case.project.subject, taught)

"""Carries out remedies and proves that they helped: by a run of uv, the files on disk, and what is in force then."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from uv_link_doctor import journal
from uv_link_doctor.case import Case, read_case
from uv_link_doctor.changes import give_fresh_files, move_cache, write_cache_dir, write_setting
from uv_link_doctor.doctor import OnLine, examine, look_at_files, refuse_impossible
from uv_link_doctor.engine import plan
from uv_link_doctor.engine.model import (
    Code,
    DoctorError,
    Examination,
    Finding,
    Kind,
    LinkMode,
    Refused,
    Remedy,
    RemedyKind,
    Verdict,
)
from uv_link_doctor.engine.remedies import lasts
from uv_link_doctor.engine.settings import SettingPlace
from uv_link_doctor.host import Host, cache_move, environment, environment_move, state
from uv_link_doctor.host.cache_lock import CacheBusyError
from uv_link_doctor.host.cache_repair import Repaired
from uv_link_doctor.host.cache_scan import Trouble, Troubled
from uv_link_doctor.host.threads import in_stoppable_thread, in_thread
from uv_link_doctor.options import Options


@dataclass(frozen=True, slots=True)
class _Work:
    """A remedy on its way."""

    case: Case
    agreed: bool
    finding: Finding | None
    """What it is to help against; None where that has gone meanwhile."""
    remedy: Remedy
    broken: tuple[str, ...]
    on_line: OnLine | None
    stop: asyncio.Event | None
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    """The loop's."""

    @property
    def named(self) -> tuple[str, ...]:
        """The file of the cache that uv could not link."""
        return (self.finding.source,) if self.finding and self.finding.source else ()

    def stopped(self) -> bool:
        """Whether somebody has asked for an end."""
        return self.stop is not None and self.stop.is_set()

    def tell(self, line: str) -> None:
        """Says how far it is, from whatever thread."""
        if self.on_line is None:
            return
        if threading.current_thread() is self.thread:
            self.on_line(line)
        else:
            self.loop.call_soon_threadsafe(self.on_line, line)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    """What was done before the run, and what the run is to do."""

    link_mode: LinkMode | None = None
    reinstall: tuple[str, ...] = ()
    """Packages besides those that are incomplete."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of them for the run."""
    in_force: str | None = None
    """What uv must say of its settings afterwards: a pattern of `--show-settings`."""


async def apply(
    examination: Examination,
    remedy: Remedy,
    host: Host,
    options: Options,
    *,
    agreed: bool = True,
    on_line: OnLine | None = None,
    stop: asyncio.Event | None = None,
) -> Examination:
    """Carries a remedy out, runs uv and looks at every file; the findings that are left tell whether it helped.

    `examination` is one of a project, `remedy` one of its remedies. Raises DoctorError.
    """
    project = examination.project
    assert project is not None  # noqa: S101  (the remedies of a pasted text are only shown)
    case = Case(project, examination.uv, host, options)
    refuse_impossible(case)  # Before anything is changed: no run would follow.
    finding = next((it for it in examination.findings if remedy in it.remedies), None)
    broken = await in_thread(_broken, case)
    work = _Work(
        case, agreed, finding, remedy, broken, on_line, stop, asyncio.get_running_loop(), threading.current_thread()
    )
    if remedy.kind is RemedyKind.MOVE_ENVIRONMENT:
        return await _move_environment(work)
    deed = await _DEEDS[remedy.kind](work)
    after = await _run(work, replace(deed, reinstall=tuple(dict.fromkeys((*work.broken, *deed.reinstall)))))
    if remedy.kind in _WRITE_A_SETTING:
        after = await _with_settings(case, after)
    if not is_proven(after):
        return after
    if deed.in_force is not None and not await _says(case, deed.in_force):
        return replace(after, verdict=examination.verdict, findings=examination.findings)
    if remedy.kind is RemedyKind.REPAIR_CACHE and await in_thread(_still_refused, work):
        # What uv has just linked was taken over at once: this folder itself is the one that spoils the cache.
        return replace(after, verdict=examination.verdict, findings=examination.findings)
    if remedy.kind is RemedyKind.RETRY_COPY:
        if finding is not None and lasts(finding.cause):
            _remember_copy(work, finding)
        await _heal(work, after)
    return after


_WRITE_A_SETTING = frozenset({RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER, RemedyKind.MOVE_CACHE})
ABOUT_SETTINGS = frozenset({Code.SETTING_IGNORED, Code.SETTING_INVALID})
"""Findings that are there with or without a remedy."""


async def _run(work: _Work, deed: _Deed) -> Examination:
    """The run after a deed, and every file looked at."""
    case = work.case
    after = await examine(
        case.project.manifest.path,
        case.host,
        replace(case.options, environment={**case.options.environment, **deed.variables}),
        link_mode=deed.link_mode,
        reinstall=deed.reinstall,
        agreed=work.agreed,
        on_line=work.on_line,
        stop=work.stop,
    )
    return await look_at_files(after, case.host, case.options, every=True)


async def _with_settings(case: Case, after: Examination) -> Examination:
    """The examination with the settings as every later run has them: this one was given the new value besides."""
    if after.project is None:
        return after
    now = await read_case(after.project.manifest.path, case.host, case.options, ask=True)
    return replace(after, project=replace(after.project, settings=now.project.settings))


def is_proven(after: Examination) -> bool:
    """Whether a run went well and every file was looked at; a setting without effect is another matter."""
    verified = after.verification is not None and after.verification.verified
    return after.verdict is Verdict.HEALTHY and verified and all(it.code in ABOUT_SETTINGS for it in after.findings)


def _broken(case: Case) -> tuple[str, ...]:
    return tuple(it.package for it in case.verify(None).broken)


def _remember_copy(work: _Work, finding: Finding) -> None:
    """Our runs in this project go on using copies; told once in the journal."""
    cause = finding.cause

    def remembering(remembered: state.ProjectState) -> state.ProjectState:
        steps = () if remembered.copy_because else (state.Step(kind=work.remedy.kind.value),)
        because = cause.value if cause else None
        return replace(remembered, copy_because=because, journal=(*remembered.journal, *steps))

    journal.change(work.case.project.subject, work.case.host, remembering)


# --- what each remedy does before the run -------------------------------------------------


async def _retry_copy(_: _Work) -> _Deed:
    return _Deed(link_mode=LinkMode.COPY)


async def _heal(work: _Work, after: Examination) -> None:
    """Gives what a synced folder has spoiled fresh files, after a run by whose lockfile the packages are known.

    It is the others who would meet it, so that nobody waits long.
    """
    if after.project is None or after.places is None or after.places.environment.synced_by is None:
        return
    try:
        await _fresh_files(replace(work, case=replace(work.case, project=after.project)), seconds=_FOR_OTHERS)
    except CacheBusyError:
        work.tell("Another uv is at work in the cache, so its files are left as they are; a later look tells")


_FOR_OTHERS = 10.0
"""Seconds to wait for the cache beside the work itself: most installs are over by then, and people wait, too."""


async def _reinstall(_: _Work) -> _Deed:
    return _Deed()


async def _set_link_mode(work: _Work) -> _Deed:
    place = work.case.setting_place()
    if place is None:
        raise DoctorError(
            f"no file would have an effect here: {work.case.overruling()}",
            "take that out, or let it say `copy`",
        )
    return await _copies_by(work, place)


async def _set_link_mode_user(work: _Work) -> _Deed:
    path = work.case.user_file()
    if path is None:
        raise DoctorError("your own uv.toml has no say in this project's link mode", "set it where the project does")
    return await _copies_by(work, SettingPlace(path, ("link-mode",)))


async def _copies_by(work: _Work, place: SettingPlace) -> _Deed:
    """The run uses copies also where an editor holds the change unsaved, so that uv cannot know of it yet."""
    on_disk = await _write(work, place, LinkMode.COPY.value)
    return _Deed(link_mode=LinkMode.COPY, in_force=r"link_mode: Copy," if on_disk else None)


async def _repair_cache(work: _Work) -> _Deed:
    try:
        done = await _fresh_files(work)
    except CacheBusyError as error:
        raise DoctorError(f"the cache is in use: {error}", "let the other uv finish, then try again") from error
    if done.left or done.obstacle is not None:
        number = done.obstacle.os_error if done.obstacle else done.left[0].os_error
        raise DoctorError(
            f"not every file of the cache could be replaced (os error {number})",
            "nothing is worse than before; try again, or install by copying",
        )
    return _Deed()


async def _fresh_files(work: _Work, *, seconds: float = cache_move.SECONDS_AT_MOST) -> Repaired:
    """Gives the project's entries that take no link fresh files; raises CacheBusyError."""
    ends = await in_thread(work.case.places, passive=True)
    refused = [_troubled(it) for it in await in_thread(work.case.refused, ends, named=work.named, passive=False)]
    directory, _ = work.case.ends()
    if refused:
        several = "entries" if len(refused) > 1 else "entry"
        work.tell(f"Giving {len(refused)} {several} of the cache fresh files")
    fresh = partial(give_fresh_files, tell=work.tell, stop=work.stopped, seconds=seconds)
    return await in_stoppable_thread(work.stop, fresh, directory, refused)


def _troubled(refused: Refused) -> Troubled:
    """What a repair wants to know: it finds out itself which other files of the entry take no link."""
    archive = Path(str(refused.file).removesuffix(str(refused.name)))
    return Troubled(
        package=refused.package,
        version=refused.version,
        path=archive,
        trouble=Trouble.REFUSED,
        files=(refused.name.as_posix(),),
        os_error=refused.os_error,
    )


async def _clean_package(work: _Work) -> _Deed:
    """Uv itself removes what nothing can be made good from, and downloads it again in the run."""
    case = work.case
    finding = work.finding
    named = (finding.package,) if finding and finding.package and finding.code is not Code.ENVIRONMENT_BROKEN else ()
    lost = await in_thread(case.lost, work.broken)
    names = tuple(dict.fromkeys((*named, *lost))) or tuple(
        dict.fromkeys(it.package for it in case.refused(case.places(passive=True), passive=True))
    )
    if case.uv is None or not names:
        raise DoctorError("it is not known which package to remove from the cache", "`uv cache clean` removes all")
    variables = plan.sync_environ(case.host.environ, case.options.environment, args=case.options.sync_args)
    command = (str(case.uv.path), "cache", "clean", *names)
    command = (*command, "--cache-dir", case.project.settings.cache_dir.value)
    said = await case.host.run(
        command, cwd=case.project.directory, environ=variables, on_line=work.on_line, stop=work.stop
    )
    if said.exit_code != 0:
        words = said.stderr.strip().rpartition("\n")[2] or "it did not say why"
        raise DoctorError(f"`uv cache clean` failed: {words}", "let other uv end first, then try again")
    return _Deed(reinstall=names)


async def _move_cache(work: _Work) -> _Deed:
    """The cache first, then the setting: until it is written, the old path leads to a whole cache."""
    case = work.case
    old, _ = case.ends()
    found = await in_thread(case.homes)
    if not found or (path := case.cache_file(found[0].path)) is None:
        raise DoctorError(
            "no place for the cache was found that can be linked", "name one: `uv-link-doctor cache move`"
        )
    home = found[0].path
    work.tell(f"Moving uv's cache to {home}")
    moved = await in_stoppable_thread(
        work.stop,
        move_cache,
        old,
        home,
        case.host,
        subject=case.project.subject,
        tell=work.tell,
        stop=work.stopped,
        empty=found[0].in_use,
    )
    origin = case.project.settings.cache_dir.origin
    key = tuple((origin.key or "").split(".")) if origin.path == path else ("cache-dir",)
    subject = case.project.subject
    on_disk = await write_cache_dir(SettingPlace(path, key), home, case.host, subject=subject, first=moved is None)
    in_force = f'cache_dir: Some\\(\\s*"{re.escape(str(home))}"'
    return _Deed(variables={"UV_CACHE_DIR": str(home)}, in_force=in_force if on_disk else None)


async def _move_environment(work: _Work) -> Examination:
    """Uv makes it anew in the new place, to which a link leads when every file was looked at; the old one goes last."""
    project, host = work.case.project, work.case.host
    old, new = project.environment, work.case.new_environment(await in_thread(work.case.places, passive=True))
    if new is None:
        raise DoctorError("no better place for the environment is known", "name one with `UV_PROJECT_ENVIRONMENT`")
    step = state.Step(kind=work.remedy.kind.value, path=str(old), destination=str(new))
    with journal.noted(project.subject, host, step):
        after = await _made_there(work, new)
        proven = is_proven(after)
        lacking = await in_thread(_lacking, old, new) if proven else ""
        if proven:
            await in_thread(_lead_there, old, new)
    if not proven:
        with suppress(cache_move.MoveError):  # What stays there is taken up the next time.
            await in_thread(environment_move.take_back, old, new)
        journal.drop(project.subject, host, step)
        return after
    if lacking:
        work.tell(
            f"The project does not name what was in the old environment, too: `uv pip install {lacking}` brings it"
        )
    try:
        await in_thread(environment_move.settle, old)
    except cache_move.MoveError as error:
        work.tell(f"The old environment could not be removed from beside `{old}`: {error}")
    return await examine(
        project.manifest.path, host, work.case.options, agreed=work.agreed, on_line=work.on_line, stop=work.stop
    )


async def _made_there(work: _Work, new: Path) -> Examination:
    """The run that makes it; once more after fresh files for what the old place has spoiled in the cache."""
    variables = {"UV_PROJECT_ENVIRONMENT": str(new)}
    begun = await in_thread(_taken_up, work.case, new)
    after = await _run(work, _Deed(reinstall=begun, variables=variables))
    if is_proven(after) or after.project is None or after.verdict is not Verdict.FAILED:
        return after
    there = replace(work, case=replace(work.case, project=after.project))
    try:
        done = await _fresh_files(there, seconds=_FOR_OTHERS)
    except CacheBusyError:
        return after
    if not done.files:
        return after
    return await _run(work, _Deed(reinstall=await in_thread(_broken, there.case), variables=variables))


def _taken_up(case: Case, new: Path) -> tuple[str, ...]:
    """What is broken of an environment that a killed predecessor has begun there; nobody else makes anything there."""
    environment_move.clear(new)
    return _broken(replace(case, project=replace(case.project, environment=new)))


def _lacking(old: Path, new: Path) -> str:
    """What somebody has installed by hand into the old environment, as arguments: a `uv sync` does not know of it."""
    there = {it.name for it in environment.installed(new).distributions}
    return " ".join(
        f"{it.name}=={it.version}" for it in environment.installed(old).distributions if it.name not in there
    )


def _lead_there(old: Path, new: Path) -> None:
    try:
        environment_move.lead(old, new)
    except cache_move.MoveError as error:
        raise DoctorError(
            f"`{old}` cannot be made a link to the new environment: {error}", "the old environment is kept"
        ) from error


_DEEDS: dict[RemedyKind, Callable[[_Work], Awaitable[_Deed]]] = {
    RemedyKind.RETRY_COPY: _retry_copy,
    RemedyKind.REINSTALL_BROKEN: _reinstall,
    RemedyKind.SET_LINK_MODE: _set_link_mode,
    RemedyKind.SET_LINK_MODE_USER: _set_link_mode_user,
    RemedyKind.REPAIR_CACHE: _repair_cache,
    RemedyKind.CLEAN_PACKAGE: _clean_package,
    RemedyKind.MOVE_CACHE: _move_cache,
}


# --- their parts --------------------------------------------------------------------------


async def _write(work: _Work, place: SettingPlace, value: str) -> bool:
    """True when it is on disk, False when an editor holds it; raises DoctorError."""
    project = work.case.project
    return await write_setting(
        place,
        value,
        work.case.host,
        kind=work.remedy.kind,
        subject=project.subject,
        in_script=project.kind is Kind.SCRIPT and place.path == project.manifest.path,
    )


async def _says(case: Case, pattern: str) -> bool:
    """Whether uv itself now says that a setting is in force."""
    assert case.uv is not None  # noqa: S101  (a run has come before)
    variables = plan.sync_environ(case.host.environ, case.options.environment, args=case.options.sync_args)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        variables.pop(name, None)  # `--show-settings` would print every certificate.
    verb = plan.verb(case.project.manifest, case.project.environment)
    command = (*plan.sync_command(case.uv.path, verb=verb, args=case.options.sync_args), "--show-settings")
    said = await case.host.run(command, cwd=case.project.directory, environ=variables)
    return re.search(rf"^\s*{pattern}", _ESCAPE.sub(_meant, said.stdout), re.MULTILINE) is not None


_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def _meant(escape: re.Match[str]) -> str:
    """The character for which Rust prints an escape (`char::escape_debug`): a mark that combines, a backslash."""
    return chr(int(escape[1], 16)) if escape[1] else _LETTERS.get(escape[2], escape[2])


def _still_refused(work: _Work) -> bool:
    return bool(work.case.refused(work.case.places(passive=True), named=work.named, passive=False))

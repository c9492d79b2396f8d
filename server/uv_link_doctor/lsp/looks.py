"""Looks at projects, the installing ones one after the other, each ending in what the client shows."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcException

from uv_link_doctor import doctor, repair
from uv_link_doctor.case import environ_of
from uv_link_doctor.engine import findings, toml_text, transcript
from uv_link_doctor.engine.model import (
    Code,
    DoctorError,
    Examination,
    Finding,
    Kind,
    LinkMode,
    Location,
    Manifest,
    Range,
    Remedy,
    RemedyKind,
    Severity,
    Verdict,
)
from uv_link_doctor.host import read_text
from uv_link_doctor.inputs import inputs, outputs
from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.progress import QUIET_SECONDS, progress
from uv_link_doctor.lsp.sessions import DoctorServer, Session, inode
from uv_link_doctor.lsp.status import State
from uv_link_doctor.options import Options, Trace
from uv_link_doctor.project import find_manifest, is_trigger, member_manifests, subject_of, workspace_root
from uv_link_doctor.repair import ABOUT_SETTINGS

WRITING_SECONDS = 0.1
"""How long a save may take that is seen half-way."""


def trigger(ls: DoctorServer, uri: str) -> Path | None:
    """The path of a file whose save or opening concerns us; None for any other document."""
    path = Path(uris.to_fs_path(uri) or "")
    return path if path.name and is_trigger(path, ls.host.read_text) else None


def session_for(ls: DoctorServer, path: Path) -> tuple[Session, Manifest]:
    """The session of what the path is installed from, and its manifest; raises DoctorError.

    A workspace has one. Files that `uv pip` installs have their own, in whose runs the workspace's take turns: both may
    write to one environment.
    """
    manifest = find_manifest(path, ls.host.read_text)
    subject = subject_of(manifest, ls.host.read_text)
    if subject not in ls.sessions:
        root = workspace_root(manifest, ls.host.read_text)
        shared = root if manifest.kind.by_pip else subject
        ls.sessions[subject] = Session(subject, ls.locks.setdefault(shared, asyncio.Lock()))
    return ls.sessions[subject], manifest


def _inputs(ls: DoctorServer, path: Path) -> object:
    """What an install of the project would depend on at this moment; raises DoctorError.

    It is what is on disk that counts: uv does not see what is typed and not saved.
    """
    options = ls.options_for(path)
    manifest = find_manifest(path, read_text)
    root = workspace_root(manifest, read_text)
    members = member_manifests(root, read_text) if manifest.kind is Kind.UV else ()
    return inputs(manifest, root, members, environ_of(ls.host, options), options)


async def _settled_inputs(ls: DoctorServer, path: Path) -> object:
    """The same, asked again a moment later where it raises: an editor that writes in place shows half a file."""
    try:
        return _inputs(ls, path)
    except DoctorError:
        await asyncio.sleep(WRITING_SECONDS)
        return _inputs(ls, path)


def _known_inputs(ls: DoctorServer, path: Path) -> object | None:
    """The same; None where it raises."""
    with suppress(DoctorError):
        return _inputs(ls, path)
    return None


async def _settled_problem(saved: Path) -> DoctorError | None:
    """Why nothing can be installed by a file that was saved, other than the manifest; asked twice as well."""
    problem = _problem(saved)
    if problem is not None:
        await asyncio.sleep(WRITING_SECONDS)
        problem = _problem(saved)
    return problem


def _problem(saved: Path) -> DoctorError | None:
    if saved.name not in {"uv.lock", "uv.toml"}:
        return None
    found = toml_text.parse(read_text(saved) or "")
    if not isinstance(found, toml_text.TomlProblem):
        return None
    place = Range(found.position, replace(found.position, character=found.position.character + 1))
    message = f"`{saved.name}` is not valid TOML: {found.message}"
    return DoctorError(message, "nothing is run until it parses", Location(saved, place))


@contextmanager
def showing_problems(ls: DoctorServer, path: Path) -> Iterator[None]:
    """Turns what the user can act on into a diagnostic of the file it is about, until the file can be looked at again.

    A `uv.toml` need not belong to a project, nor a Python file that has ceased to be a script meanwhile. What somebody
    else has begun to show while we waited is newer than our look, and stays.
    """
    before = ls.problems.get(path)
    try:
        yield
    except DoctorError as error:
        homeless = path.name == "uv.toml" or not is_trigger(path, ls.host.read_text)
        if homeless and error.location is None:
            return
        finding = findings.problem(error, path)
        place = finding.location.path if finding.location else path
        ls.show_problem(path, ls.uri_of(place), convert.diagnostic(finding, path.parent))
    else:
        if ls.problems.get(path) is before:
            ls.drop_problem(path)


async def weigh(ls: DoctorServer, session: Session, path: Path) -> None:
    """Counts what the project's packages come to, for a hover to say."""
    with suppress(DoctorError):  # It may have been typed in meanwhile.
        session.weight = await doctor.weigh(path, ls.host, ls.options_for(path))


async def look(ls: DoctorServer, session: Session, path: Path) -> Examination:
    """A look without a run, once no run is under way: what uv is writing is not broken."""
    options = ls.options_for(path)
    async with session.lock:
        passive = options.passive or not options.trusted
        examination = await doctor.check(path, ls.host, options, passive=passive, ask=options.trusted)
        ls.show(session, examination)
    return examination


async def check_and_show(ls: DoctorServer, session: Session, path: Path) -> None:
    """A look without a run, on save."""
    with showing_problems(ls, path):
        await look(ls, session, path)


def install_soon(ls: DoctorServer, session: Session, manifest: Path, saved: Path, *, agreed: bool = False) -> None:
    """Queues an install because of a saved file: one runs, and of those that wait for the same manifest the last wins.

    `agreed`: the user has no objection to anything that uv would do.
    """
    session.waiting[manifest] = saved, agreed
    if session.worker is None or session.worker.done():
        session.worker = ls.start(_install_waiting(ls, session))


async def _install_waiting(ls: DoctorServer, session: Session) -> None:
    """Installs for one waiting save after the other, but not where the last clean run depended on just the same."""
    while session.waiting:
        path = next(iter(session.waiting))
        saved, agreed = session.waiting.pop(path)
        with showing_problems(ls, path):
            if problem := await _settled_problem(saved):
                if saved.name == "uv.toml":
                    await look(ls, session, path)  # It says so as of every setting that uv refuses.
                    continue
                raise problem
            now = await _settled_inputs(ls, path)
            if not agreed and session.examination and _is_clean(session, session.examination, path, now):
                if _ahead(session):
                    await look(ls, session, path)  # It may be over, though nothing has to be installed.
                else:
                    ls.show(session, session.examination)
                continue
            examination = await install(ls, session, path, agreed=agreed, before=now)
            question = next((finding for finding in examination.findings if findings.is_question(finding)), None)
            if question and question.message not in session.declined | session.asking:
                session.asking.add(question.message)
                ls.start(_ask(ls, session, path, question))


async def install(
    ls: DoctorServer, session: Session, path: Path, *, agreed: bool, before: object = None
) -> Examination:
    """Runs uv for a project, shows what it means, then looks at the files it has installed.

    `before`: what the run depends on, where a caller has just asked.
    """
    options = ls.options_for(path)
    async with _running(ls, session, options) as on_line:
        before = before or _known_inputs(ls, path)
        examination = await doctor.examine(
            path, ls.host, options, agreed=agreed, quick=not agreed, on_line=on_line, stop=session.stop
        )
        expected = _ahead(session)
        if not (expected and _is_calm(examination)):
            ls.show(session, examination)
        later = await doctor.look_at_files(examination, ls.host, options)
        if before is not None:
            _note_if_clean(session, later, before)
        if expected and _is_calm(later):
            # A run that has nothing to install does not meet what the next one will: only a look tells.
            seen = await doctor.check(path, ls.host, options, passive=options.passive)
            later = replace(later, findings=seen.findings, places=seen.places)
        if later is not examination:
            ls.show(session, later)
        _log_run(ls, later, options)
    if later is not examination or later.findings:  # Something was installed, or was to be.
        ls.start(weigh(ls, session, path))
    return later


AHEAD = frozenset({Code.CACHE_TAINTED, Code.LINK_PREDICTED})
"""What is about the next install, so that the last one cannot show that it is over."""


def _ahead(session: Session) -> bool:
    return session.examination is not None and any(it.code in AHEAD for it in session.examination.findings)


def _is_calm(examination: Examination) -> bool:
    """Whether a run met nothing."""
    return examination.verdict is Verdict.HEALTHY and all(
        it.code in AHEAD | ABOUT_SETTINGS for it in examination.findings
    )


def with_taint(session: Session, found: Examination) -> Examination:
    """A passive look with what only a trial can find, as long as the same files lie in the cache."""
    last = session.examination.findings if session.examination else ()
    copies = found.project is not None and found.project.settings.link_mode.value == LinkMode.COPY
    if copies or any(it.code is Code.CACHE_TAINTED for it in found.findings):
        return found
    same = any(number is not None and inode(path) == number for path, number in session.tainted.items())
    kept = tuple(it for it in last if it.code is Code.CACHE_TAINTED and same)
    return replace(found, verdict=Verdict.NOT_RUN, findings=(*found.findings, *kept)) if kept else found


async def apply_remedy(ls: DoctorServer, session: Session, path: Path, finding_id: str, remedy_id: str) -> Examination:
    """Carries out a remedy that is offered now, and shows what is left."""
    options = ls.options_for(path)
    found, offered = await _offer(ls, session, path, finding_id, remedy_id)
    # Nothing waits for the answer, which may never come.
    if offered.kind in BEYOND_THE_PROJECT and not await _may(ls, offered):
        return found
    async with _running(ls, session, options) as on_line:
        found, offered = await _offer(ls, session, path, finding_id, remedy_id)
        before = _known_inputs(ls, path)
        try:
            after = await repair.apply(
                found, offered, ls.host, options, agreed=False, on_line=on_line, stop=session.stop
            )
            ls.show(session, after)
            if before is not None and before == _known_inputs(ls, path):  # Else it depended on something in between.
                _note_if_clean(session, after, before)
            _log_run(ls, after, options)
            if not session.stop.is_set():
                _tell_of_repair(ls, after, offered)
        finally:
            ls.edited.clear()
    return after


async def _offer(
    ls: DoctorServer, session: Session, path: Path, finding_id: str, remedy_id: str
) -> tuple[Examination, Remedy]:
    """The remedy as it is offered now; raises DoctorError where it is not."""
    found = session.examination
    offered = None if found is None else _find_remedy(found, finding_id, remedy_id)
    if found is None or offered is None:
        found = await doctor.check(path, ls.host, ls.options_for(path))
        offered = _find_remedy(found, finding_id, remedy_id)
    if offered is None:
        ls.show(session, found)
        raise DoctorError("this remedy is no longer offered", "the project has changed since: look again")
    return found, offered


BEYOND_THE_PROJECT = frozenset(
    {
        RemedyKind.SET_LINK_MODE_USER,
        RemedyKind.MOVE_CACHE,
        RemedyKind.REPAIR_CACHE,
        RemedyKind.CLEAN_PACKAGE,
        RemedyKind.MOVE_ENVIRONMENT,
    }
)
"""What changes more than the project's own files, so that a client that can ask has the user's word first."""


async def _may(ls: DoctorServer, remedy: Remedy) -> bool:
    """Whether the user wants all that a remedy changes; to choose it is enough for a client that cannot ask."""
    return await _answer(ls, f"{remedy.title}? What this does: {'; '.join(remedy.changes)}.") is not False


async def _answer(ls: DoctorServer, question: str) -> bool | None:
    """The user's word; None from a client that cannot ask for it."""
    window = ls.client_capabilities.window
    if not (window and window.show_message):
        return None
    yes, no = lsp.MessageActionItem("Go ahead"), lsp.MessageActionItem("Not now")
    params = lsp.ShowMessageRequestParams(lsp.MessageType.Warning, question, [yes, no])
    try:
        answer = await ls.window_show_message_request_async(params)
    except JsonRpcException:  # It can not, after all.
        return False
    return answer is not None and answer.title == yes.title


def _is_clean(session: Session, last: Examination, path: Path, now: object) -> bool:
    """Whether the last clean run depended on just this, and nobody has touched what it made."""
    if last.project is None or path not in session.clean:
        return False
    return session.clean[path] == (now, outputs(session.root, last.project.environment))


def _note_if_clean(session: Session, examination: Examination, before: object) -> None:
    """Remembers what a run depended on, and what it made, that left nothing to do."""
    project = examination.project
    if project is not None and examination.verdict is Verdict.HEALTHY and not examination.findings:
        session.clean[project.manifest.path] = (before, outputs(session.root, project.environment))


def _find_remedy(examination: Examination, finding_id: str, remedy_id: str) -> Remedy | None:
    """The remedy that two ids name, if it is offered."""
    for finding in examination.findings:
        if finding.id == finding_id:
            return next((remedy for remedy in finding.remedies if remedy.id == remedy_id), None)
    return None


def _tell_of_repair(ls: DoctorServer, after: Examination, remedy: Remedy) -> None:
    """Says what the vanished diagnostic cannot say."""
    if any(
        it.severity in {Severity.ERROR, Severity.WARNING} and it.code not in ABOUT_SETTINGS for it in after.findings
    ):
        ls.say(f"This did not help: {remedy.title}. The finding stands; see what else is offered.")
    else:
        for path, (_, text) in ls.edited.items():
            if read_text(path) != text:
                ls.say(
                    f"`{path.name}` is changed but not saved yet. This run went by it all the same; "
                    "save the file so that every later one does, too.",
                    lsp.MessageType.Info,
                )


async def _ask(ls: DoctorServer, session: Session, manifest: Path, question: Finding) -> None:
    """Asks for the user's word where the client can; the finding with its code action stands meanwhile."""
    answer = await _answer(ls, question.message)
    session.asking.discard(question.message)
    if answer:
        install_soon(ls, session, manifest, manifest, agreed=True)
    elif answer is not None:
        session.declined.add(question.message)


@asynccontextmanager
async def _running(ls: DoctorServer, session: Session, options: Options) -> AsyncIterator[Callable[[str], None]]:
    """Holds the environment for one run, with progress and cancel; gives the function that takes uv's lines."""
    async with session.lock:
        session.stop = asyncio.Event()
        soon = asyncio.get_running_loop().call_later(QUIET_SECONDS, _turn_to, ls, session, State.RUNNING)
        try:
            async with progress(ls, f"uv sync: {session.root.name}", session.stop.set) as report:

                def on_line(line: str) -> None:
                    waiting = transcript.waits(line)
                    if waiting:
                        soon.cancel()
                    if waiting or session.activity is State.WAITING:
                        _turn_to(ls, session, State.WAITING if waiting else State.RUNNING)
                    if transcript.shown(line):
                        report("waiting for another uv to finish" if waiting else line)
                    if options.trace is Trace.VERBOSE:
                        ls.log(line)

                yield on_line
        finally:
            soon.cancel()
            _turn_to(ls, session, None)


def _turn_to(ls: DoctorServer, session: Session, activity: State | None) -> None:
    """Says what goes on now."""
    if session.activity is not activity:
        session.activity = activity
        ls.tell(session.root)


def _log_run(ls: DoctorServer, examination: Examination, options: Options) -> None:
    """Leaves the command and how it ended in the client's log; of a run that went wrong, all that it said."""
    said = examination.transcript
    if said is None or (options.trace is Trace.OFF and not examination.findings):
        return
    lines = [line for line in said.stderr.splitlines() if transcript.shown(line)] if examination.findings else []
    ls.log("\n".join([f"$ {shlex.join(said.command)}", *lines, f"exit code {said.exit_code}, {said.seconds:.3f} s"]))

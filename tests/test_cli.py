"""The command line as a person, a script and a pipe meet it: text, JSON, exit codes, one sentence for bad input."""

import json
import os
import pty
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.fake_uv import Answer
from kit.projects import UvProject, write_project

import uv_link_doctor
from uv_link_doctor import commands
from uv_link_doctor.cli import main


def doctor(
    *arguments: str | Path, cwd: Path, environ: dict[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uv_link_doctor", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environ, input=text, capture_output=True, encoding="utf-8", check=False, timeout=60
    )


@dataclass(frozen=True)
class Doctor:
    """The doctor as it is called in one project."""

    example: UvProject

    def __call__(self, *arguments: str | Path, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return doctor(*arguments, cwd=self.example.root, environ=self.example.environ | more, text=text)


@pytest.fixture
def run(uv_binary, project, other_filesystem) -> Doctor:
    """`run(*arguments)`: in a project with its cache on another file system, and with the newest uv on PATH."""
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    example.environ["PATH"] = f"{uv_binary('newest').parent}:{example.environ['PATH']}"
    return Doctor(example)


def findings(answer) -> list[str]:
    return [finding["code"] for finding in json.loads(answer.stdout)["findings"]]


def test_the_whole_way_by_hand(run):
    """Sync, list, dry run, ask, apply, undo: each says what it did and changes no more than that."""
    example = run.example
    first = run("sync", "--json")
    document = json.loads(first.stdout)
    assert (first.returncode, document["outcome"]) == (1, "degraded")
    assert document["environment"] == {"verified": True, "broken": []}
    assert document["uv"]["found_by"] == "PATH"
    assert document["places"]["link"]["os_error"]["hardlink"] == 18
    (finding,) = document["findings"]
    assert (finding["code"], finding["cause"], finding["os_error"]) == ("link-degraded", "cross-device", 18)
    assert finding["required_by"] == ["idna", "httpx"]
    assert "warning: Failed to hardlink files" in first.stderr
    assert "DEBUG" not in first.stderr

    text = example.manifest.read_text()
    listed = run("fix")
    assert (listed.returncode, "--apply retry-copy" in listed.stdout) == (0, True)
    assert run("fix", "--list", "--json").returncode == 0
    dry = run("fix", "--apply", "set-link-mode", "--dry-run")
    assert (dry.returncode, "writes `link-mode" in dry.stdout) == (0, True)
    unasked = run("fix", "--apply", "set-link-mode")
    assert (unasked.returncode, "add `--yes`" in unasked.stderr) == (2, True)
    assert example.manifest.read_text() == text

    applied = run("fix", "--apply", "set-link-mode", "--yes", "--json")
    assert (applied.returncode, findings(applied)) == (0, [])
    assert tomllib.loads(example.manifest.read_text())["tool"]["uv"]["link-mode"] == "copy"
    assert run("check").returncode == 0
    changed = example.manifest.read_bytes()
    would = run("fix", "--undo", "--dry-run")
    sentence = f"takes out of `{example.manifest}` what was written to it"
    assert (would.returncode, would.stdout) == (0, f"would change: {sentence}\n")
    assert example.manifest.read_bytes() == changed
    undone = run("fix", "--undo")
    assert (undone.returncode, example.manifest.read_text()) == (0, text)
    again = run("fix", "--undo")
    assert (again.returncode, "nothing to undo" in again.stderr) == (2, True)


def test_retry_copy_is_remembered_and_can_be_undone(run):
    example = run.example
    assert run("sync").returncode == 1
    assert run("fix", "--apply", "retry-copy", "--yes").returncode == 0
    run.example.run("rm", "-rf", example.environment)
    remembered = run("sync", "--json")
    assert (remembered.returncode, findings(remembered)) == (0, [])
    mode = json.loads(remembered.stdout)["settings"]["link_mode"]
    assert (mode["value"], mode["origin"]["kind"]) == ("copy", "command-line")
    sentence = "our runs in this project use the link mode in force again"
    dry = run("fix", "--undo", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, f"would change: {sentence}\n")
    assert json.loads(run("fix", "--undo", "--dry-run", "--json").stdout)["would_undo"] == [sentence]
    assert run("fix", "--undo").returncode == 0
    run.example.run("rm", "-rf", example.environment)
    assert run("sync").returncode == 1


def test_nothing_is_changed_where_nothing_can_be_installed(run):
    root = run.example.root
    (root / "requirements.txt").write_text("httpx\n")
    run.example.manifest.unlink()
    run.example.run("uv", "venv")
    assert run("sync").returncode == 1
    run.example.run("rm", "-rf", run.example.environment)
    before = {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()}
    for kind in ("set-link-mode", "set-link-mode-user", "retry-copy"):
        refused = run("fix", "--apply", kind, "--yes")
        assert (refused.returncode, "there is no environment to install" in refused.stderr) == (2, True)
    assert {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()} == before


def test_a_fix_of_the_trouble_is_one_though_a_setting_without_effect_is_left(run):
    example = run.example
    write_project(example.root / "member", "certifi", environ=example.environ)
    member = example.root / "member/pyproject.toml"
    member.write_text(member.read_text().replace("example", "member") + '[tool.uv]\nlink-mode = "symlink"\n')
    example.manifest.write_text(example.manifest.read_text() + '[tool.uv.workspace]\nmembers = ["member"]\n')
    assert sorted(findings(run("sync", member.parent, "--json"))) == ["link-degraded", "setting-ignored"]
    fixed = run("fix", member.parent, "--apply", "retry-copy", "--yes", "--json")
    assert (fixed.returncode, findings(fixed)) == (0, ["setting-ignored"])


def test_arguments_for_uv_and_a_link_mode_are_handed_on(run):
    answer = run("sync", ".", "--link-mode", "copy", "--json", "--", "--no-install-package", "idna")
    document = json.loads(answer.stdout)
    assert document["run"]["command"][1:] == [
        "sync",
        "--inexact",
        "--link-mode",
        "copy",
        "--no-install-package",
        "idna",
    ]
    assert not list(run.example.site_packages.glob("idna-*"))


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (["frob"], "invalid choice: 'frob'", "-h"),
        (["sync", "--no-such-option"], "unrecognized arguments: --no-such-option", "-h"),
        (["check", "no/such/path"], "no such file or directory: `no/such/path`", "name a project"),
        (["check", "/"], "`/` is not in a uv project", "uv init"),
        (["sync", "--link-mode", "Copy"], "argument --link-mode", "-h"),
        (["explain", "no-such-file"], "`no-such-file` cannot be read", "stdin"),
        (["explain", "--platform", "beos"], "argument --platform", "-h"),
        (["check", "--", "--dev"], "only `sync` takes arguments for uv", "leave them out"),
        (["fix", "--undo", "--apply", "retry-copy"], "not allowed with argument --undo", "-h"),
        (["fix", "--apply", "frob"], "invalid choice: 'frob' (choose from 'retry-copy', 'reinstall-broken'", "-h"),
        (["server", "--tcp", "nowhere"], "cannot listen at `nowhere`: there is no such port", "HOST:PORT"),
        (["server", "--tcp", "localhost:99999"], "cannot listen at `localhost:99999`", "HOST:PORT"),
    ],
)
def test_bad_input_is_one_sentence_and_a_hint(arguments, words, hint, run):
    answer = run(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    error, hinted = answer.stderr.splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert hinted.startswith("hint: ")
    assert hint in hinted


BAD_MANIFESTS = {
    "[project\n": ("pyproject.toml:1:9: `pyproject.toml` is not valid TOML", "until it parses"),
    '[project]\nname = "x"\nversion = "1"\ndependencies = ["a b"]\n': (
        "pyproject.toml:4:18: ",
        "until the requirement",
    ),
    "[tool.black]\n": ("has no `[project]` table, so there is nothing to install", "uv init"),
}


@pytest.mark.parametrize("manifest", BAD_MANIFESTS)
@pytest.mark.parametrize("command", ["check", "sync", "fix"])
def test_a_manifest_that_cannot_be_used(manifest, command, run):
    run.example.manifest.write_text(manifest)
    words, hint = BAD_MANIFESTS[manifest]
    answer = run(command, "--json")
    error, hinted = answer.stderr.splitlines()
    assert (answer.returncode, words in error, hint in hinted) == (2, True, True)
    document = json.loads(answer.stdout)
    assert document["outcome"] == "not-run"
    assert [(it["code"], it["severity"]) for it in document["findings"]] == [("sync-failed", "error")]


def test_a_value_that_uv_refuses_in_the_users_own_file_is_told_once(run):
    users = Path(run.example.environ["XDG_CONFIG_HOME"]) / "uv/uv.toml"
    users.parent.mkdir(parents=True)
    users.write_text('link-mode = "hard-link"\n')
    answer = run("sync", "--json")
    assert (answer.returncode, findings(answer)) == (1, ["setting-invalid"])


def test_no_uv_is_a_sentence_and_a_finding(run, tmp_path):
    answer = run("sync", "--json", PATH=str(tmp_path))
    assert (answer.returncode, findings(answer)) == (2, ["uv-missing"])
    assert answer.stderr.startswith("error: uv was not found")
    assert json.loads(answer.stdout)["uv"] is None
    assert "no uv found" in run("--version", PATH=str(tmp_path)).stdout


def test_version_and_help(run):
    version = run("--version")
    assert version.stdout.startswith(f"uv-link-doctor {uv_link_doctor.__version__}, uv 0.")
    for command in ([], ["check"], ["sync"], ["explain"], ["fix"], ["report"], ["demo"], ["server"]):
        shown = run(*command, "-h")
        assert (shown.returncode, "Example: uv-link-doctor" in shown.stdout) == (0, True)


def test_explain_reads_files_and_pipes_and_what_powershell_writes(run, tmp_path):
    said = (
        "error: Failed to install: idna-3.11-py3-none-any.whl (idna==3.11)\n  Caused by: failed to hardlink file from "
        "C:\\c\\archive-v0\\x\\idna\\core.py to C:\\p\\.venv\\Lib\\site-packages\\idna\\core.py: é (os error 396)\n"
    )
    by_pipe = run("explain", "--json", text=said)
    assert (by_pipe.returncode, findings(by_pipe)) == (1, ["link-failed"])
    document = json.loads(by_pipe.stdout)
    assert {document[key] for key in ("uv", "project", "settings", "places", "run", "environment")} == {None}
    (tmp_path / "log").write_text(said, encoding="utf-16")
    assert run("explain", tmp_path / "log", "--json").stdout == by_pipe.stdout
    assert run("explain", "-", "--platform", "windows", text=said).returncode == 1
    nothing = run("explain", "--json", text="Resolved 3 packages in 2ms\n")
    assert (nothing.returncode, json.loads(nothing.stdout)["outcome"]) == (0, "not-a-link-failure")


def test_check_leaves_nothing_behind_and_passive_tries_nothing(run):
    cache = Path(run.example.environ["UV_CACHE_DIR"])
    before = sorted(map(str, [*run.example.root.rglob("*"), *cache.rglob("*")]))
    tried = json.loads(run("check", "--json").stdout)
    assert (tried["outcome"], tried["run"]) == ("not-run", None)
    assert [it["code"] for it in tried["findings"]] == ["link-predicted"]
    assert tried["places"]["link"]["hardlink"] == "fails"
    passive = json.loads(run("check", "--passive", "--json").stdout)
    assert passive["places"]["link"]["hardlink"] == "fails"
    assert sorted(map(str, [*run.example.root.rglob("*"), *cache.rglob("*")])) == before


def test_check_looks_as_deep_as_it_is_told(run):
    assert run("sync", "--link-mode", "copy").returncode == 0
    (run.example.site_packages / "idna/core.py").write_text("changed")
    (run.example.site_packages / "certifi/core.py").unlink()
    copies = {"UV_LINK_MODE": "copy"}
    assert run("check", **copies).returncode == 0
    thorough = json.loads(run("check", "--thorough", "--json", **copies).stdout)
    assert [broken["package"] for broken in thorough["environment"]["broken"]] == ["certifi"]
    assert (thorough["outcome"], thorough["findings"][0]["required_by"]) == ("not-run", ["httpx"])
    assert [it["code"] for it in json.loads(run("fix", "--json", **copies).stdout)["findings"]] == [
        "environment-broken"
    ]
    hashes = json.loads(run("check", "--hashes", "--json", **copies).stdout)
    assert [broken["package"] for broken in hashes["environment"]["broken"]] == ["certifi", "idna"]


def test_what_a_run_left_incomplete_stays_told_until_it_is_whole(run):
    """uv installs what the cache has, says that all is well, and sees nothing to do from then on."""
    example, copies = run.example, {"UV_LINK_MODE": "copy"}
    assert run("sync", **copies).returncode == 0
    example.run("rm", "-rf", example.environment)
    (core,) = Path(example.environ["UV_CACHE_DIR"]).glob("archive-v*/*/idna/core.py")
    core.unlink()
    for command in ("sync", "check", "sync", "check"):
        answer = run(command, "--json", **copies)
        (finding,) = json.loads(answer.stdout)["findings"]
        assert (answer.returncode, finding["code"], finding["package"]) == (1, "environment-broken", "idna"), command
        assert [remedy["kind"] for remedy in finding["remedies"]] == ["clean-package"]
    fixed = run("fix", "--apply", "clean-package", "--yes", "--json", **copies)
    assert (fixed.returncode, findings(fixed)) == (0, [])
    assert example.missing_files() == {}
    assert run("check", **copies).returncode == 0


def test_a_working_directory_that_is_gone(run):
    command = f'mkdir gone && cd gone && rmdir ../gone && "{sys.executable}" -m uv_link_doctor'
    for rest in ("check", "check --json", "cache scan"):
        said = run.example.run("bash", "-c", f"{command} {rest}")
        assert (said.returncode, "error: the working directory was deleted" in said.stderr) == (2, True)


def test_a_disk_that_was_full_is_no_news_once_a_run_went_well(run, loop_mount):
    """uv sees nothing to do for what the full disk has left in pieces: a reinstall ends it, no advice does."""
    example = run.example
    copies = {"UV_LINK_MODE": "copy"}
    assert run("sync", **copies).returncode == 0
    disk = loop_mount("ext4")
    small = write_project(disk / "small", "httpx", environ=example.environ)
    assert doctor("sync", cwd=small.root, environ=small.environ | copies).returncode == 0
    package = small.site_packages / "certifi"
    small.run("rm", "-rf", package, *package.parent.glob("certifi-*"))
    with (disk / "fill").open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
            file.flush()
    full = doctor("sync", "--json", cwd=small.root, environ=small.environ | copies)
    assert json.loads(full.stdout)["findings"][0]["cause"] == "no-space"
    (disk / "fill").unlink()
    assert small.run("uv", "sync", "--link-mode", "copy", "--reinstall").returncode == 0
    (package / "core.py").unlink()
    small.run("rm", *package.parent.glob("certifi-*/INSTALLER"))  # As the full disk would have left it.
    assert findings(doctor("sync", "--json", cwd=small.root, environ=small.environ | copies)) == ["environment-broken"]
    again = doctor("fix", "--apply", "reinstall-broken", "--yes", cwd=small.root, environ=small.environ | copies)
    assert (again.returncode, small.missing_files()) == (0, {})


def test_a_reader_that_has_had_enough_is_no_fault(run):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "uv_link_doctor", "sync", "--json"]
    said = subprocess.run(
        command, cwd=run.example.root, env=run.example.environ, stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert b"Traceback" not in said.stderr
    assert said.returncode == 2


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("check >&-", 1),
        ("check --json >&-", 1),
        ("check 2>&-", 1),
        ("check >/dev/full", 2),
        ("check --json >/dev/full", 2),
        ("sync 2>/dev/full", 1),
        ("-h | false", 0),
        ("--version | false", 0),
        ("check nope 2>&1 | false", 2),
        ("explain <&-", 2),
        ("fix --apply retry-copy <&-", 2),
        ("report -o /dev/full", 2),
    ],
)
def test_streams_that_are_closed_or_full_are_no_fault(command, code, run, tmp_path):
    program = tmp_path / "doctor"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uv_link_doctor "$@"\n')
    program.chmod(0o755)
    said = run.example.run("bash", "-c", f'"{program}" {command}; exit ${{PIPESTATUS[0]}}')
    assert "Traceback" not in said.stderr
    assert "Exception ignored" not in said.stderr
    assert said.returncode == code
    assert ("there is nothing to read: stdin is closed" in said.stderr) == (command == "explain <&-")
    assert Path("/dev/full").is_char_device()


def test_a_report_goes_into_a_pipe_and_takes_no_devices_place(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    told = run.example.run(
        "bash",
        "-c",
        f'cat "{tmp_path}/pipe" & "{sys.executable}" -m uv_link_doctor report -o "$0"; wait',
        tmp_path / "pipe",
    )
    assert told.stdout.startswith("uv Link Doctor report")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_an_encoding_lacks_is_told_all_the_same(encoding, run):
    said = "error: Failed to install: a-1-py3-none-any.whl (a==1)\n"
    said += "  cause: failed to hardlink file from /项/archive-v0/x/项"
    said += " to /項/.venv/项: Invalid cross-device link (os error 18)\n"
    text = run("explain", text=said, PYTHONIOENCODING=encoding)
    assert (text.returncode, "(os error 18)" in text.stdout) == (1, True)
    document = json.loads(run("explain", "--json", text=said, PYTHONIOENCODING=encoding).stdout)
    assert document["findings"][0]["target"] == "/項/.venv/项"


def test_a_path_that_no_encoding_has(run):
    example = run.example
    strange = example.root.with_name(os.fsdecode(b"caf\xe9"))
    example.root.rename(strange)
    for more in ({}, {"LC_ALL": "C"}):
        answer = doctor("check", "--json", cwd=strange, environ=example.environ | more)
        assert json.loads(answer.stdout)["project"]["root"] == str(strange)
        assert doctor("check", cwd=strange, environ=example.environ | more).returncode == 1
        assert doctor("report", cwd=strange, environ=example.environ | more).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_from_outside_ends_uv_and_looks_at_what_it_left(number, fake_uv, project):
    fake, example = fake_uv(Answer(when=["sync"], steps=[("hold", "")])), project("a")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    example.environ["PATH"] = f"{fake.path.parent}:{example.environ['PATH']}"
    command = [sys.executable, "-m", "uv_link_doctor", "sync", "--json"]
    with subprocess.Popen(
        command, cwd=example.root, env=example.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        held = fake.held()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    assert held.gone()
    assert process.returncode == 2
    assert [it["code"] for it in json.loads(stdout)["findings"]] == ["environment-broken"]
    assert b"Traceback" not in stderr


INTERRUPTED = """
import os, signal, sys
from uv_link_doctor.__main__ import main

class Interrupting:
    def find_spec(self, name, *_):
        if name == "uv_link_doctor.doctor":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # As on a terminal: a job in the background ignores it.
sys.meta_path.insert(0, Interrupting())
main()
"""


def test_an_interrupt_before_anything_was_done_ends_it_without_a_word(run):
    said = run.example.run(sys.executable, "-c", INTERRUPTED, "check", "--json")
    assert (said.returncode, said.stdout, said.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_after_the_answer_adds_no_second_document(run, monkeypatch, capsys):
    async def interrupted(options, host):
        await commands.check(options, host)
        raise KeyboardInterrupt

    monkeypatch.chdir(run.example.root)
    for name, value in run.example.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(commands.COMMANDS, "check", interrupted)
    assert main(["check", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcome"] == "not-run"
    assert "error: stopped" in captured.err


def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(run):
    assert run("sync").returncode == 1
    text = run.example.manifest.read_text()
    for answer, code, changed in (("n\n", 2, False), ("y\n", 0, True)):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "uv_link_doctor", "fix", "--apply", "set-link-mode"]
        os.write(ours, answer.encode())
        said = subprocess.run(
            command, cwd=run.example.root, env=run.example.environ, stdin=theirs, capture_output=True, check=False
        )
        os.close(ours)
        os.close(theirs)
        assert b"Go ahead? [y/N]" in said.stderr
        assert (said.returncode, run.example.manifest.read_text() != text) == (code, changed)


def test_the_demo_shows_repairs_proves_and_cleans_up(run, tmp_path):
    (tmp_path / "tmp").mkdir()
    said = run("demo", TMPDIR=str(tmp_path / "tmp"))
    assert said.returncode == 0, said.stderr
    assert "(os error 396)" in said.stdout
    assert "The proof: every file that RECORD names is there, and `import httpx` works" in said.stdout
    assert list((tmp_path / "tmp").iterdir()) == []
    as_json = json.loads(run("demo", "--json").stdout)
    assert (as_json["scene"], as_json["before"]["outcome"], as_json["after"]["outcome"]) == (
        "cloud",
        "failed",
        "healthy",
    )


@pytest.mark.parametrize("missing", ["FUSE", "FUSE and memory"])
def test_the_demo_takes_what_the_machine_allows(missing, run, monkeypatch, capsys):
    import asyncio

    from uv_link_doctor.demo import story
    from uv_link_doctor.engine.model import DoctorError
    from uv_link_doctor.host import local_host

    def lacks(_folder: Path):
        raise DoctorError(f"no {missing} here", "get it")

    monkeypatch.setattr(story, "_cloud", lacks)
    if missing != "FUSE":
        monkeypatch.setattr(story, "_second_filesystem", lacks)
    for name, value in run.example.environ.items():
        monkeypatch.setenv(name, value)
    assert asyncio.run(story.demonstrate(local_host(), as_json=False)) == 0
    said = capsys.readouterr().out
    assert "(os error 18)" in said
    assert "second mount" in said or missing == "FUSE"

"""The words a user reads about each cause and each code, and what is known of a cause beyond its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from uv_link_doctor.engine.model import Cause, Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What to say about one subject; backticks round commands and paths, as uv's own messages have them."""

    name: Cause | Code
    title: str
    what: str
    """What uv could not do: one sentence of at most 120 characters, without its period, so that a message can go on."""
    why: str
    """Two to four sentences for someone who has never heard of hard links."""
    costs: str
    helps: tuple[str, ...]
    """Whole sentences, the best advice first."""
    does_not_help: tuple[str, ...] = ()
    """What people try in vain, and why it is in vain."""
    advice: tuple[str, ...] = ()
    """What only the person can do, a short sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausePage(Page):
    """A page about a cause, with the facts that the choice of remedies rests on."""

    name: Cause
    lasts: bool
    """The next install meets the same cause, unless somebody changes something."""
    copying_helps: bool
    """Where a hardlink, clone or symlink failed, installing by copying would have worked."""
    retrying_helps: bool
    """The same install, tried again, has a fair chance; packages left incomplete must still be reinstalled."""


def markdown(page: Page) -> str:
    """The page as Markdown, wrapped at 100 characters because editors show such a file as it is written."""
    subject = "Cause" if isinstance(page, CausePage) else "Finding"
    blocks = [
        f"# {page.title}",
        f"{subject}: `{page.name}`",
        _wrapped(f"{page.what}."),
        "## Why",
        _wrapped(page.why),
        "## What it costs",
        _wrapped(page.costs),
        "## What helps",
        "\n".join(_wrapped(sentence, f"{number}. ") for number, sentence in enumerate(page.helps, start=1)),
        _wrapped(_OFFERS),
    ]
    if page.does_not_help:
        blocks += ["## What does not help", _items(page.does_not_help)]
    if page.advice:
        blocks += ["## What only you can do", _items(page.advice)]
    if isinstance(page, CausePage):
        blocks += ["## Afterwards", _wrapped(_AFTERWARDS)]
    return "\n\n".join(blocks) + "\n"


def table(pages: str) -> str:
    """All causes as a Markdown table, each with a link to its page in a directory."""
    rows = [("cause", "what happened", "what helps first", "does copying help?"), ("---",) * 4]
    for page in CAUSES.values():
        copying = "yes" if page.copying_helps else "no"
        rows.append((f"[{page.name}]({pages}/{page.name}.md)", page.what, page.helps[0], copying))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _items(sentences: tuple[str, ...]) -> str:
    return "\n".join(_wrapped(sentence, "- ") for sentence in sentences)


_WIDTH = 100
_UNBREAKABLE = r"(?:`[^`]*`|\[[^]]*\]|[^\s`\[])+"
"""A word, or a code span or the text of a link with the spaces in it."""


def _wrapped(text: str, marker: str = "") -> str:
    lines = [marker.rstrip()]
    for word in re.findall(_UNBREAKABLE, text):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(" " * len(marker) + word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


# --- sentences that stand on more than one page -------------------------------------------

_OFFERS = (
    "Where the doctor can do one of these itself, it offers to: as a quick fix in the editor, and in "
    "`uv-link-doctor fix`."
)
_AFTERWARDS = (
    "If uv stopped while it was installing, packages can be half-installed, and a plain `uv sync` does not notice: "
    "see [Packages are incomplete on disk](environment-broken.md)."
)

SETTING_TRAPS = (
    (
        "The `export UV_LINK_MODE=copy` of uv's warning is for POSIX shells: PowerShell wants "
        '`$env:UV_LINK_MODE = "copy"`, cmd `set UV_LINK_MODE=copy`, fish `set -x UV_LINK_MODE copy`.'
    ),
    (
        "A variable set in one terminal does not reach an editor or a service that is already running: "
        "restart it from that terminal, or write the setting into a file."
    ),
)
"""Why `UV_LINK_MODE=copy` seems to do nothing; for every cause that copying would end."""


# --- causes -------------------------------------------------------------------------------
#
# `#1234` is an issue of astral-sh/uv. "Measured" is on Linux, with uv 0.13.9 unless a version is given.
# Nothing about Windows or macOS was measured: there the texts say "reported", or state what the system documents.

CAUSES: dict[Cause, CausePage] = {
    page.name: page
    for page in (
        CausePage(
            name=Cause.CROSS_DEVICE,
            title="The cache and the environment are on different file systems",
            what="uv cannot link or move a file from one file system to another",
            why=(
                "uv keeps each downloaded package once, in its cache, and gives an environment hard links to it: "
                "second names for the same files, which take no time and no space. "
                "A second name can only be on the file system that holds the file. "
                "Here a border lies between the two places: two drives, two partitions, a container and its volume, "
                "or two mounts of one disk."
            ),
            costs=(
                "Usually uv copies instead: the install is sound, but slower, and each environment takes its full size "
                "on disk. "
                "If only a part of the environment or of the cache lies elsewhere, uv stops."
            ),
            helps=(
                (
                    "Put the cache on the file system of the environment: set `cache-dir` in your user-level "
                    "`uv.toml`, or `UV_CACHE_DIR`, to an absolute path there."
                ),
                "Put the environment on the file system of the cache: `UV_PROJECT_ENVIRONMENT` names its directory.",
                (
                    'Accept the copies: set `link-mode = "copy"`, which costs nothing more, since uv has to copy '
                    "between file systems anyway."
                ),
                (
                    "In a container, mount the cache and the environment as one volume, or set `UV_LINK_MODE=copy` "
                    "in the image."
                ),
            ),
            does_not_help=(
                # Measured: it depends on TMPDIR; on the same file system even the temporary cache is linked.
                (
                    "`--no-cache` downloads everything again into the temporary directory, which is often on yet "
                    "another file system."
                ),
                "`--link-mode symlink` works across the border, but `uv cache clean` then breaks such environments.",
                # #17962; measured with two bind mounts of one ext4.
                "That both places are on the same disk is not enough: two mounts of it cannot be linked to each other.",
                # Public reports of agent sandboxes; measured with Landlock.
                (
                    "Where uv failed to move a file inside the cache, the link mode changes nothing: a sandbox or a "
                    "mount divides the cache itself."
                ),
                *SETTING_TRAPS,
            ),
            advice=("Keep the cache and your projects on the same drive or volume.",),
            lasts=True,
            copying_helps=True,  # Where uv stopped; where it only warned, it was copying already.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.CLOUD_SYNC,
            title="A cloud client keeps the file in sync",
            what="uv cannot link a file that a cloud client such as OneDrive keeps in sync",
            why=(
                "A hard link is a second name for one file, and uv links the files of its cache into environments "
                "instead of copying them. "
                "A cloud client takes charge of every file in its folder, and Windows then refuses to give the file "
                "another name. "
                "All names share the file: once a file of the cache was linked into a synced folder, the client is "
                "reported to take charge of it under its name in the cache, too, and links fail for projects that "
                "were never synced."
            ),
            costs=(
                "uv copies the affected packages, or stops in the middle of one and leaves it incomplete. "
                "The client also uploads every file of an environment in its folder."
            ),
            helps=(
                # #9721, #7906.
                (
                    'Install by copying: set `link-mode = "copy"`, then run `uv sync --reinstall-package NAME` '
                    "for each incomplete package."
                ),
                "Move the environment out of the synced folder: `UV_PROJECT_ENVIRONMENT` names its directory.",
                # #17945, #9721. Measured for any cache file that cannot be linked.
                (
                    "Give the cache fresh files once no environment is synced anymore: `uv cache clean NAME` for one "
                    "package, `uv cache clean` for all, is reported to end the failure."
                ),
            ),
            does_not_help=(
                # Measured: where the package's metadata was linked before the failure, `uv sync` exits with 0.
                "Running the same install again fails at the same file, or reports success over an incomplete package.",
                "`--reinstall` without copying links the same file of the cache again.",
                "`uv cache prune` keeps the affected files, because packages still need them.",
                "A cache outside the synced folder is not enough: its files can be affected by an environment inside.",
                *SETTING_TRAPS,
            ),
            advice=("Keep the project outside the synced folder.",),
            lasts=True,
            copying_helps=True,
            retrying_helps=False,  # ruff#13612: three attempts of an installer failed alike.
        ),
        CausePage(
            name=Cause.CLOUD_OFFLINE,
            title="A synced file is not on this machine",
            what="uv cannot read a file whose content is in the cloud",
            why=(
                "A cloud client can keep only a placeholder on disk and fetch the content when a program opens the "
                "file. "
                "The client is not running, not signed in, without a network or too slow, so the content does not "
                "arrive. "
                "A hard link is only a second name for the file, so the placeholder comes with it; a copy has to read "
                "the content, and fails as well."
            ),
            costs="uv stops. Parts of the cache or of the environment cannot be used until their content is back.",
            # Reported for other tools that link from a cache; these numbers have not been seen with uv's own text.
            helps=(
                "Start the cloud client, wait until it has finished, and install again.",
                'Tell the client to keep the folder on this machine; OneDrive calls this "Always keep on this device".',
                "Move the cache out of the synced folder: set `UV_CACHE_DIR` to an absolute path on a local disk.",
                "Keep the environment elsewhere: `UV_PROJECT_ENVIRONMENT` names a directory that is not synced.",
            ),
            does_not_help=(
                "Copy mode does not help where the cache is synced: it has to read the content that is not there.",
            ),
            advice=("Check that the cloud client is running, signed in and online.",),
            lasts=True,  # Files of a synced folder go offline again and again.
            copying_helps=False,
            retrying_helps=False,  # Only once the client is back.
        ),
        CausePage(
            name=Cause.UNSUPPORTED_FILESYSTEM,
            title="The file system cannot do what uv asks for",
            what="uv cannot link files here, because the file system does not offer such links",
            why=(
                "A hard link is a second name for one file, and a clone is a second file that shares the first one's "
                "data; uv uses them to avoid copying. "
                "Not every file system has them: exFAT and FAT32 have neither, and many network shares and mounts "
                "made by programs (FUSE) refuse one or both. "
                "PRoot on Android imitates hard links, and Windows drives in WSL imitate Linux permissions, both only "
                "in part."
            ),
            costs=(
                "Usually uv copies instead, which is slower and takes more space. "
                "Some of these file systems also refuse permissions, locks or the links that an environment is made "
                "of, and then uv stops whatever the link mode."
            ),
            helps=(
                (
                    "Put the cache and the environment on a disk with the system's own file system, such as ext4, xfs, "
                    "btrfs, APFS or NTFS."
                ),
                'If they must stay where they are, set `link-mode = "copy"`; under PRoot this is reported to help.',
                (
                    "In WSL, keep the project in the Linux home directory rather than below `/mnt/c`; the mount option "
                    "`metadata` in `/etc/wsl.conf` is reported to help, too."
                ),
            ),
            does_not_help=(
                "`sudo` is reported not to help below `/mnt/c`: the drive keeps no Linux permissions to set.",
                # Measured on FUSE mounts without links; #11233 for a cache on exFAT.
                "No link mode helps where uv cannot lock its own cache: the cache has to move.",
                *SETTING_TRAPS,
            ),
            advice=("Move the project to a disk with the system's own file system.",),
            lasts=True,
            copying_helps=True,  # Not where the copy fails: then the operation is no link.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.NETWORK_FILESYSTEM,
            title="The network file system did not deliver a file",
            what="uv cannot use a file, because the network file system lost it or did not answer",
            why=(
                "The cache or the environment is on a disk that another machine serves, such as NFS, SMB or Lustre. "
                "Its server said that the file is stale, empty or out of reach, although it can be there a moment "
                "later. "
                "An install makes thousands of small files and hard links (second names for files in the cache) in a "
                "few seconds, which is hard work for such a server."
            ),
            costs="uv stops, often at another package each time, and leaves that package incomplete.",
            helps=(
                "Put the environment on a local disk: `UV_PROJECT_ENVIRONMENT` names the directory.",
                "Put the cache on that local disk as well, so that uv can link from it.",
                # #15304.
                "Run the install again; on Lustre, `uv cache clean` before it is reported to help.",
                'Set `link-mode = "copy"` if it is linking that fails.',
            ),
            does_not_help=(
                # #12036.
                "Moving only the cache is reported not to help while the environment stays on the share.",
                "Copy mode does not help where a copy failed: uv copies some files, such as `RECORD`, in every mode.",
                *SETTING_TRAPS,
            ),
            advice=("Check that the share is reachable, and ask its administrator if the failure comes back.",),
            lasts=True,
            copying_helps=True,  # A stale handle met while linking; #15304 failed while copying, which is no link.
            retrying_helps=True,  # #15304: a different wheel each time.
        ),
        CausePage(
            name=Cause.PERMISSION,
            title="uv is not allowed to place the file",
            what="uv is not allowed to place a file, because its owner, its permissions or a policy forbid it",
            why=(
                "A hard link is a second name for one file, and systems are strict about who may give a file another "
                "name. "
                "Linux usually refuses it for a file of another user that you may not write to, so a cache that was "
                "filled by `root` or a colleague cannot be linked into your environment. "
                "Windows wants Developer Mode or administrator rights for symbolic links. "
                "A sandbox, a security policy or a protected file can refuse as well."
            ),
            costs=(
                "If the first file of a package is refused, uv copies the package; "
                "if a later one is, uv stops and leaves the package incomplete."
            ),
            helps=(
                'Make the cache your own: `sudo chown -R "$USER" "$(uv cache dir)"` on Linux and macOS.',
                "Use another cache: set `UV_CACHE_DIR` to a directory in your home directory.",
                'Set `link-mode = "copy"`, where you may at least read the files.',
                # #16877.
                (
                    "For symbolic links on Windows, turn on Developer Mode; if it is on, a path of more than about "
                    "260 characters is reported to cause the same error."
                ),
            ),
            does_not_help=(
                (
                    "Running uv with `sudo` can leave files that belong to `root`, and the next install without it is "
                    "refused."
                ),
                "uv's warning speaks of different file systems whatever the reason; here they are not the reason.",
                "Copying fails, too, where a file cannot be read or the environment cannot be written.",
                *SETTING_TRAPS,
            ),
            advice=("Ask for write access to the cache and to the environment, or use your own.",),
            lasts=True,
            copying_helps=True,  # #5581, and measured with `fs.protected_hardlinks=1`: a readable file can be copied.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.READ_ONLY,
            title="The place is read-only",
            what="uv cannot write here, because the file system is read-only",
            why=(
                "Programs may read this place and not change it: a volume mounted read-only, an image, a protected "
                "medium, or a disk that the system closed to writing after an error. "
                "Even a hard link, which is only a second name for a file, is written into a directory, so it is "
                "refused like any copy."
            ),
            costs="Nothing can be installed there. What was installed before goes on working.",
            helps=(
                "Put the environment in a place that can be written: `UV_PROJECT_ENVIRONMENT` names its directory.",
                "If it is the cache, set `UV_CACHE_DIR` to such a place.",
                "Mount the volume writable: without `ro`, or without `:ro` in a container.",
            ),
            does_not_help=(
                "`sudo` and `chmod` change nothing: the whole file system refuses, not the permissions of one file.",
                "Every link mode has to write, and copy mode most of all.",
            ),
            advice=("Make the place writable, or check the disk if nobody made it read-only.",),
            lasts=True,
            copying_helps=False,
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.FILE_IN_USE,
            title="Another program is using the file",
            what="uv cannot replace, move or remove a file that another program is using",
            why=(
                "A running Python, an editor's language server, a virus scanner or a sync client has the file open. "
                "Windows protects open files from being replaced or removed; on a network share, a removed file that "
                "is still open keeps its directory from going away. "
                "A hard link is a second name for one file, so on Windows a module that is loaded in one environment "
                "is reported to block the same file in every other."
            ),
            costs="uv stops. The old version of a package can be gone already while the new one is incomplete.",
            helps=(
                (
                    "Close the program: a running Python, a notebook, a debugger, or the editor whose extensions run "
                    "tools from the environment."
                ),
                # #1491, #17679: several people only had to run it again.
                "Run the install again: a scanner usually lets go of a file within seconds.",
                "If a virus scanner is the reason, excluding the cache from its live scan is reported to help.",
                # #15968, #17679.
                (
                    'If a loaded extension module (`.pyd`) is the reason, `link-mode = "copy"` is reported to keep '
                    "environments from blocking each other from then on."
                ),
            ),
            does_not_help=(
                "Copying does not get past a scanner or a sync client: it has to open the same file.",
                # uv's source: only "access denied" is retried, for about ten seconds, and never when removing.
                (
                    "Waiting for uv to try again does not help with most of these errors: it repeats only some "
                    "renames, for about ten seconds."
                ),
            ),
            advice=(
                "Close the program that holds the file.",
                "Pause the sync client while you install.",
            ),
            lasts=False,
            copying_helps=False,  # What is locked against linking is locked against reading, too.
            retrying_helps=True,
        ),
        CausePage(
            name=Cause.TOO_MANY_LINKS,
            title="The file has as many names as it may have",
            what="uv cannot hard-link a file that has as many names as its file system allows",
            why=(
                "A hard link is a further name for one file, and every environment adds one to each file of the cache "
                "that it uses. "
                "File systems allow only so many: 65,000 on ext4, 1,024 on NTFS, fewer than 200 on some network file "
                "systems."
            ),
            # Measured on ext4: an error with 0.9.30, healed with 0.10.9.
            costs="uv 0.10.8 and older stop. Newer releases put a fresh copy of the file into the cache and go on.",
            helps=(
                "Update uv to 0.10.9 or newer.",
                "Delete environments that nobody uses anymore: each one gives its names back.",
                'Set `link-mode = "copy"` for the projects with the most environments.',
                (
                    "Give the cache a fresh file: `uv cache clean NAME` removes the package, and the next install "
                    "downloads it."
                ),
            ),
            does_not_help=(
                "`uv cache prune` keeps the file, because packages still need it.",
                "Re-creating the same environment gives one name back and takes it again.",
                *SETTING_TRAPS,
            ),
            advice=("Delete environments and worktrees that nobody uses anymore.",),
            lasts=True,
            copying_helps=True,  # #17699.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.NO_SPACE,
            title="The disk or the quota is full",
            what="uv cannot write a file, because the disk or your quota is full",
            why=(
                "A copied file takes its full size once more; a hard link is a second name for a file that is there "
                "already, and takes next to nothing. "
                "Here not even that is left, or uv had to copy. "
                "Some file systems also limit the number of files, and are then full while they still show free space."
            ),
            costs="uv stops in the middle of a package. Other programs that write to the same disk fail as well.",
            helps=(
                "Free space on the disk that holds the environment, or get a larger quota.",
                "Put the cache on the file system of the environment, so that uv can link and need not copy.",
                "If the cache is on the full disk, `uv cache prune` removes what no package needs anymore.",
            ),
            does_not_help=(
                "Copy mode needs more space, not less.",
                "Removing a cache frees little while environments link to its files: a file goes with its last name.",
            ),
            advice=("Free space, or ask for a larger quota.",),
            lasts=True,
            copying_helps=False,
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.OUT_OF_MEMORY,
            title="The system ran out of memory",
            what="uv cannot place a file, because the system has no memory left for it",
            why=(
                "uv installs several packages at once, and the system had no memory for one of the steps. "
                "This is reported from WSL 1 and from folders shared into a container whose disk was nearly full. "
                "It does not matter here whether a file is copied or gets a hard link, a second name for a file of "
                "the cache."
            ),
            costs="uv stops, and the package that it was placing is incomplete.",
            helps=(
                # #13481.
                "Let uv do less at once: `UV_CONCURRENT_INSTALLS=4` is reported to help, and `1` is the least.",
                "Run the install again when other programs need less memory.",
                "If the folder is shared into a virtual machine, free space on the disk that it comes from.",
            ),
            does_not_help=("Copy mode needs no less memory.",),
            advice=("Close programs that use much memory, or give the virtual machine more.",),
            lasts=False,
            copying_helps=False,
            retrying_helps=True,
        ),
        CausePage(
            name=Cause.PATH_TOO_LONG,
            title="The path is too long",
            what="uv cannot create a file, because its path or its name is too long",
            why=(
                "Windows limits a whole path to about 260 characters unless long paths are turned on; Linux and macOS "
                "limit each name in it to about 255. "
                "Encrypted directories and network shares can allow less. "
                "A hard link is only a second name for a file, but it is exactly the name that is too long."
            ),
            costs="uv stops, and the package with the long path is incomplete.",
            helps=(
                r"Move the project to a shorter path, such as `C:\src\app`.",
                "Give the environment a shorter path: `UV_PROJECT_ENVIRONMENT` names its directory.",
                # #16877.
                "On Windows, turn on long paths (`LongPathsEnabled`) and use uv 0.9.15 or newer, as reported.",
            ),
            does_not_help=("A copy needs the same path.",),
            advice=("Move the project to a shorter path.",),
            lasts=True,
            copying_helps=False,
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.MISSING_CACHE_FILE,
            title="A file has gone from the cache",
            what="uv cannot find a file in its own cache",
            why=(
                "uv was about to give the environment a hard link, a second name for a file of its cache, and the "
                "file was no longer there. "
                "Another uv command cleaned the cache at that moment, or a cleaning tool or a virus scanner took the "
                "file away."
            ),
            # Measured: a file that is missing before the install begins is neither noticed nor reported.
            costs=(
                "uv stops, or, worse, installs the package without the file and reports success. "
                "Every new environment then lacks the same file."
            ),
            helps=(
                "Run the install again while no other uv command works on the cache.",
                # Measured.
                (
                    "If it fails again, run `uv cache clean NAME` and then `uv sync --reinstall-package NAME`, "
                    "which downloads the package afresh."
                ),
                "Give jobs that run side by side their own caches through `UV_CACHE_DIR`.",
            ),
            does_not_help=(
                "A copy needs the missing file as much as a link does.",
                # Measured.
                "`uv sync --reinstall-package NAME` alone takes the same incomplete entry of the cache again.",
            ),
            advice=("Keep cleaning tools and virus scanners away from the cache.",),
            lasts=False,
            copying_helps=False,
            retrying_helps=True,  # #15704.
        ),
        CausePage(
            name=Cause.CORRUPT_CACHE_ENTRY,
            title="A package in the cache is damaged",
            what="uv cannot install a package, because its entry in the cache is damaged",
            why=(
                "uv unpacks a package into its cache once and does not check the files again. "
                "A crash, a power failure or a failing disk left this entry incomplete. "
                "Links and copies start from the same entry: a hard link is a second name for the damaged file itself."
            ),
            costs="uv stops, in every project that needs this version of the package, until the entry is gone.",
            helps=(
                # #16841.
                "Remove the entry and install again: `uv cache clean NAME`, then `uv sync --reinstall-package NAME`.",
                (
                    "If several packages are affected, `uv cache clean` removes all of them; everything is downloaded "
                    "again."
                ),
            ),
            does_not_help=(
                "`--reinstall` and `--no-binary` are reported to fail on the same entry.",
                "`uv cache prune` keeps the entry, because it still belongs to a package.",
                "Copy mode copies the damage, and a new environment gets it again.",
            ),
            advice=("Check the disk if entries are damaged again and again.",),
            lasts=True,
            copying_helps=False,
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.FILE_CONFLICT,
            title="Another file has that name",
            what="uv cannot place a file, because a file of that name is already there",
            why=(
                "Two packages bring a file of the same name, or two programs install into the environment at once. "
                "A hard link is a second name for a file of the cache, and a name that is taken cannot be given again. "
                "uv has replaced such files without an error since early 2024."
            ),
            costs="uv stops. Where it does not, the file of one package hides the file of the other.",
            helps=(
                # #390, #929.
                "Update uv.",
                "Let one install finish before the next one begins in the same environment.",
                "If leftovers are in the way, re-create the environment: remove `.venv` and run `uv sync`.",
            ),
            does_not_help=("Copy mode does not decide which of the two files belongs there.",),
            advice=("Remove one of two packages that bring the same file, if you need only one.",),
            lasts=True,
            copying_helps=False,  # Nothing shows that it would.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.CONCURRENCY,
            title="Two programs worked on the cache at once",
            what="uv cannot finish an entry of its cache, because another program changed it meanwhile",
            why=(
                "uv prepares a package in its cache under a temporary name and renames it when it is complete. "
                "Another program, such as a second job or a cleaning tool, took it away before that. "
                "No hard link, a second name for a file of the cache, and no copy has been tried at this point."
            ),
            costs="uv stops. The package that it was preparing is not installed.",
            helps=(
                "Run the install again when the other program has finished.",
                "Give each job that runs at the same time a cache of its own: `UV_CACHE_DIR` names it.",
            ),
            does_not_help=(
                "`uv cache clean --force` overrides the lock that protects running installs, and causes such failures.",
                "Changing the link mode does not change how uv fills its cache.",
            ),
            advice=("Let other uv processes finish first.",),
            lasts=False,
            copying_helps=False,
            retrying_helps=True,
        ),
        CausePage(
            name=Cause.TRANSIENT,
            title="The file system asked to try again later",
            what="uv cannot clone a file yet, because the file system asked to try again later",
            why=(
                "A clone is a second file that shares the first one's data, where a hard link is a second name for "
                "the same file. "
                "OpenZFS is reported to refuse a clone while the data is not on the disk yet, because the package was "
                "downloaded only a moment ago. "
                "A few seconds later the same clone succeeds."
            ),
            costs="uv links or copies instead, or stops in the middle of a package, reportedly every other time.",
            # #19674.
            helps=(
                "Wait a few seconds and install again.",
                'Set `link-mode = "hardlink"`, which does not clone and takes no more space.',
                'Set `link-mode = "copy"` if the cache and the environment cannot be hard-linked.',
            ),
            does_not_help=(
                "Emptying the cache makes the failure more likely: it is fresh downloads that cannot be cloned yet.",
                *SETTING_TRAPS,
            ),
            lasts=False,
            copying_helps=True,
            retrying_helps=True,
        ),
        CausePage(
            name=Cause.UNKNOWN,
            title="The reason is not known yet",
            what="uv cannot link or place files here, and nothing at hand shows the reason",
            why=(
                "A hard link is a second name for one file, and uv links the files of its cache into environments "
                "where it can. "
                "uv's warning that it falls back to copying names no file and no error number, and is the same for "
                "different file systems, missing permissions, synced folders and file systems without links. "
                "An error number that the doctor has no explanation for ends here, too."
            ),
            costs=(
                "If uv only warned, the install is sound, but slower and larger. "
                "If it stopped, a package can be incomplete."
            ),
            helps=(
                (
                    "Run `uv-link-doctor check` in the project: it tries a link between the two places and sees the "
                    "error number."
                ),
                # Measured: with 0.9.30 and older the line is there without the number.
                (
                    "With uv 0.10.5 or newer, repeat the install with `--verbose --reinstall`: its `DEBUG` lines name "
                    "the file and the error number."
                ),
                'If linking is not possible, set `link-mode = "copy"`.',
            ),
            does_not_help=(
                "`--quiet` hides the warning and leaves the reason as it is.",
                *SETTING_TRAPS,
            ),
            lasts=False,  # Nothing shows that it does: what is not understood is not worked round for good.
            copying_helps=True,  # A refused link says nothing against a copy; uv itself falls back to one.
            retrying_helps=False,
        ),
        CausePage(
            name=Cause.NOT_A_LINK_FAILURE,
            title="uv failed for another reason",
            what="uv failed for a reason other than placing files from its cache in the environment",
            why=(
                "Before uv gives an environment its files, mostly as hard links (second names for files of the "
                "cache), it resolves, downloads and builds. "
                "Each of these can fail, and so can the link to a Python interpreter, whose message sounds much the "
                "same."
            ),
            costs="The environment stays as it was, or is not made at all.",
            helps=(
                "Read uv's own message: its last `cause:` line is the most exact.",
                # #12129, #13345, #15607: exFAT.
                "If the link to the interpreter failed, put the environment on a file system with symbolic links.",
                "Run the same command in a terminal with `--verbose` to see what led up to it.",
            ),
            does_not_help=("The link mode has no influence on this failure.",),
            lasts=False,  # Nothing is known of it.
            copying_helps=False,
            retrying_helps=False,
        ),
    )
}


# --- codes --------------------------------------------------------------------------------

_CODES = (
    Page(
        name=Code.LINK_FAILED,
        title="uv stopped while it was placing files",
        what="uv cannot finish the install, because a file could not be placed in the environment",
        # Measured: only a refusal of the first file of a package makes uv fall back.
        why=(
            "uv keeps each downloaded package in its cache and gives an environment hard links to it: second names for "
            "the same files. "
            "If the very first file of a package cannot be linked, uv copies that package. "
            "If a later file cannot, or if a copy fails, uv stops."
        ),
        costs=(
            "The package in uv's message is incomplete, and others may be as well, because uv reports only the first. "
            "It is often not the package that you asked for, but one that it depends on."
        ),
        helps=(
            (
                "End the cause, then reinstall what is incomplete: `uv sync --reinstall-package NAME`, "
                "with one such option for each package."
            ),
            "If the cause stays, do both at once: `uv sync --link-mode copy --reinstall-package NAME`.",
            "If you do not know which packages are incomplete, `uv sync --reinstall` installs all of them again.",
        ),
        does_not_help=(
            # Measured: METADATA had been linked, so "Checked 2 packages", exit code 0, 12 of 20 modules missing.
            (
                "A plain `uv sync --link-mode copy` can end with exit code 0 and change nothing: uv counts the "
                "incomplete package as installed."
            ),
        ),
    ),
    Page(
        name=Code.LINK_DEGRADED,
        title="uv copied files instead of linking them",
        what="uv cannot link files from its cache here, and copied them instead",
        why=(
            "uv normally links: it gives each file of the cache a second name in the environment (a hard link), or "
            "makes a second file that shares its data (a clone). "
            "Here that was refused, so uv copied the files. "
            "The environment is complete and works."
        ),
        costs=(
            "Installs take longer and each environment takes its full size on disk: measured on ext4, copying from "
            "the cache took about seven times as long as linking. "
            "Within one btrfs or xfs, copies share their data, so that only time is lost."
        ),
        helps=(
            "Put the cache and the environment on one file system that can link.",
            'Accept the copies: `link-mode = "copy"` silences the warning, and nothing gets slower than it is now.',
        ),
        does_not_help=(
            # Measured: the imports failed, and `uv sync` exited with 0; only `--reinstall` repaired it.
            (
                "`--link-mode symlink` avoids the copies, but `uv cache clean` then empties the environment, and "
                "`uv sync` does not notice."
            ),
            "`--quiet` hides the warning and saves neither time nor space.",
        ),
    ),
    Page(
        name=Code.LINK_PREDICTED,
        title="The next install cannot link",
        what="uv cannot link files from this cache into this environment",
        why=(
            "Nothing has failed yet. "
            "A hard link is a second name for one file, and uv gives an environment such links to the files of its "
            "cache. "
            "The two places, or a trial with one temporary file, show that such links will be refused here."
        ),
        costs="The next install copies every file, or stops in the middle of a package.",
        helps=(
            "Bring both places together before you install: move the cache or the environment.",
            'Set `link-mode = "copy"` beforehand, so that no install stops halfway.',
        ),
    ),
    Page(
        name=Code.ENVIRONMENT_BROKEN,
        title="Packages are incomplete on disk",
        what="uv counts packages as installed that are incomplete on disk",
        why=(
            "An install was interrupted, failed halfway, or left links to files of the cache that are gone; sync "
            "clients such as iCloud are also reported to rename and remove files. "
            "uv takes a package for installed as soon as its `.dist-info` directory is there, and looks no further."
        ),
        costs="Imports fail, at once or only when the missing module is needed, although uv reports no problem.",
        helps=(
            # Measured.
            "Reinstall exactly these packages: `uv sync --reinstall-package NAME`, with one such option for each.",
            "Re-create the whole environment: remove `.venv` and run `uv sync`.",
            "If they are incomplete again, the cache lacks the files: run `uv cache clean NAME` first.",
            "If files go missing without an install, keep the environment out of synced folders.",
        ),
        does_not_help=(
            # Measured with uv 0.13.9, each with exit code 0.
            "`uv sync` and `uv sync --link-mode copy` check names and versions, find them right, and do nothing.",
            "`uv sync --check` and `uv pip check` report that all is well.",
        ),
    ),
    Page(
        name=Code.CACHE_TAINTED,
        title="The cache holds files that cannot be used",
        what="uv cannot link some files of its cache, or would install damaged ones",
        why=(
            "A hard link is a second name for one file, so a file of the cache is the same file as in every "
            "environment it was linked into. "
            "A cloud client that takes charge of it there, or a program that changes it there, reaches the cache "
            "as well. "
            "uv does not check the files of its cache when it installs them."
        ),
        costs="Installs fail or copy, or bring the changed file into every new environment.",
        helps=(
            "Give the entry fresh files: `uv cache clean NAME` removes it, and the next install downloads it again.",
            "`uv cache clean` does so for all packages at once.",
            "Install by copying into synced folders from then on, so that no file of the cache gets a name there.",
        ),
        does_not_help=(
            # Measured.
            "`uv cache prune` removes only entries that no package needs, and these are needed.",
            "`--reinstall` and `--reinstall-package` take the same files from the cache again.",
        ),
        advice=("Do not edit installed packages in place.",),
    ),
    Page(
        name=Code.SETTING_IGNORED,
        title="A setting has no effect where it stands",
        what="uv does not use this setting where it stands",
        # Measured with `--show-settings`.
        why=(
            "An option on the command line beats an environment variable, which beats the project's file, which beats "
            "your user-level `uv.toml`. "
            "Of project files uv reads only one: from the root of the workspace upward, the first `uv.toml`, or "
            "`pyproject.toml` with a `[tool.uv]` table."
        ),
        costs="uv goes on with another value, so the setting does not do what it was written for.",
        helps=(
            "Write the setting into the file that is in force.",
            "Remove the variable or the option that overrides it.",
            "For `uvx` and `uv tool`, write it into your user-level `uv.toml`: they read no project file.",
        ),
        does_not_help=(
            "A setting in a member of a workspace is left out without a warning: only the root's counts.",
            (
                "A new `uv.toml` beside `pyproject.toml`, even an empty one, switches off the settings of its "
                "`[tool.uv]` table."
            ),
            "A `.env` file does not reach uv itself, only the program that `uv run` starts.",
            "`os.environ` inside your program comes too late: uv has finished by then.",
        ),
    ),
    Page(
        name=Code.SETTING_INVALID,
        title="uv rejects the value of a setting",
        what="uv does not accept the value of this setting",
        # Measured with 0.13.9.
        why=(
            "The values of `link-mode` are `clone`, `copy`, `hardlink` and `symlink`, all in lower case. "
            "Recent releases also accept `reflink` for `clone`. "
            "uv does not guess what another spelling means."
        ),
        costs=(
            "In a variable, an option or a `uv.toml`, uv stops. "
            "In `pyproject.toml`, uv warns, drops the whole `[tool.uv]` table and goes on with the settings of a "
            "parent directory or the defaults."
        ),
        helps=(
            "Correct the value.",
            "To have no value, remove the line or unset the variable.",
        ),
        does_not_help=(
            "An empty variable, such as `UV_LINK_MODE=`, is rejected as well.",
            "`~` and variables inside `cache-dir` are not expanded: write an absolute path.",
        ),
    ),
    Page(
        name=Code.SYNC_FAILED,
        title="uv could not bring the environment up to date",
        what="uv cannot bring the environment up to date",
        why=(
            "The failure is not about placing files from the cache. "
            "It can be anything that comes before: the settings, the lockfile, the network, the build of a package, "
            "or the Python interpreter."
        ),
        costs="The environment does not match the project until uv succeeds.",
        helps=(
            "Follow uv's own words: the first line says what failed, and the `cause:` lines say why.",
            "Look at the place that the finding marks, where uv named one.",
        ),
        does_not_help=("Another link mode does not change the outcome: uv did not get as far as linking.",),
    ),
    Page(
        name=Code.UV_MISSING,
        title="uv was not found, or is too old",
        what="uv cannot be run: it was not found, or is too old",
        why=(
            "The doctor runs the uv on this machine and brings none of its own. "
            "It looks where its setting says, on the `PATH`, and where uv's installer puts it."
        ),
        costs="The project can be read, but nothing can be installed or verified.",
        helps=(
            "Install uv, as [its documentation](https://docs.astral.sh/uv/getting-started/installation/) describes.",
            "If it is installed, name its path in the setting `uvLinkDoctor.uvPath`.",
            "If it is too old, run `uv self update`, or update it with the tool that installed it.",
        ),
        does_not_help=(
            "Changing the `PATH` in a shell's startup file does not reach an editor that is already running.",
        ),
    ),
)

PAGES: dict[str, Page] = {page.name: page for page in (*CAUSES.values(), *_CODES)}
"""Every page by the value of its cause or code, which is also the name of its file."""

"""What each way to place files costs between two places, in words for somebody who has to choose."""

from __future__ import annotations

from uv_link_doctor.engine.model import LinkMode, Operation, Place, Sample, Trial, Weight


def copying(weight: Weight | None, trial: Trial) -> str | None:
    """What installing by copies comes to for a project, in one sentence; None where nothing is known of it.

    The estimate rests on the lockfile and the RECORDs in the cache, so that no file is touched.
    """
    if weight is None or not weight.files:
        return None
    more = f", {weight.unknown} more not in the cache yet" if weight.unknown else ""
    shared = "; copies share their data here, so that they take next to no space" if _shares_data(trial) else ""
    counted = f"{weight.files} files, {size_words(weight.size)}"
    packages = f"{weight.packages} package{'s' if weight.packages != 1 else ''}"
    return f"copying writes {counted} for {packages} of this project{more} (estimated from lockfile and cache){shared}"


def mode_words(mode: LinkMode, trial: Trial, weight: Weight | None) -> str:
    """Whether a link mode works between the two places, and what it costs there, without its period."""
    works = trial.works.get(Operation(mode.value))
    number = trial.os_errors.get(Operation(mode.value))
    refused = f"does not work here (os error {number})" if number else "does not work here"
    if mode is LinkMode.COPY:
        known = f": {weight.files} files, {size_words(weight.size)} for this project" if weight and weight.files else ""
        price = "takes no space of its own" if _shares_data(trial) else f"takes its full size again{known}"
        return refused if works is False else f"always works, {price}"
    good, instead = _LINKS[mode]
    return {True: f"works here, {good}", False: f"{refused}, uv {instead} instead", None: "not tried yet"}[works]


_LINKS = {
    LinkMode.HARDLINK: ("takes next to no time and space", "copies"),
    LinkMode.CLONE: ("takes next to no space", "uses hard links or copies"),
    LinkMode.SYMLINK: ("but `uv cache clean` empties the environment", "copies"),
}
"""What is to be said of each where it works, and what uv does where it does not."""


def sample_words(sample: Sample) -> str:
    """What a trial of copies and links took, in one sentence without its period."""
    counted = f"{sample.files} files, {size_words(sample.size)}: copying took {sample.copies * 1000:.0f} ms"
    return f"{counted}, linking {sample.links * 1000:.0f} ms" if sample.links is not None else f"{counted}, no links"


def place_words(place: Place) -> str:
    """A place as a person knows it: its file system and where that is mounted."""
    return f"{place.filesystem or 'an unknown file system'} (`{place.mount_point or place.path}`)"


def size_words(size: int) -> str:
    """A number of bytes in the unit that suits it, powers of 1000 as disks are sold."""
    amount, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{size} bytes" if units[0] == "bytes" else f"{amount:.{0 if amount >= 10 else 1}f} {units[0]}"


def _shares_data(trial: Trial) -> bool:
    """Where clones work, uv's copies are clones, too: both ask the file system to share (copy_file_range(2))."""
    return trial.works.get(Operation.CLONE) is True

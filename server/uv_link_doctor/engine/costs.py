"""What each way to place files costs between two places, in words for somebody who has to choose."""

from __future__ import annotations

from collections.abc import Iterable

from uv_link_doctor.engine.model import LinkMode, Operation, Place, Sample, Trial, Weight


def price(weight: Weight | None, sample: Sample | None, trial: Trial) -> str | None:
    """What it takes to copy all of a project, to go with a remedy that does; None where nobody has weighed it.

    Seconds are told only where they were measured: they are those of the sample, taken as often as the project is
    larger.
    """
    if weight is None or not weight.files:
        return None
    packages = "a package that is" if weight.unknown == 1 else f"{weight.unknown} packages that are"
    more = f", and what {packages} not in the cache yet will add" if weight.unknown else ""
    copies = f"makes a whole install copy {counted(weight.files, weight.size)}{more}"
    space = "next to no space, since copies share their data here" if _shares_data(trial) else "as much space again"
    if sample is None:
        links = ", where links would take next to nothing" if trial.works.get(Operation.HARDLINK) is not False else ""
        return f"{copies}, which takes {space}" if _shares_data(trial) else f"{copies}{links}"
    took = f"{copies}: {seconds_words(sample.copies * sample.times)} here"
    if sample.links is not None:
        took += f", where links would take {seconds_words(sample.links * weight.files / sample.files)}"
    return f"{took}, and {space}"


def part(names: Iterable[str], weight: Weight | None) -> str:
    """Files and bytes of some packages, as an end to a sentence that names them; empty where one is not known."""
    if size := _size_of(names, weight):
        return f" ({counted(*size)})"
    return ""


def price_of_part(names: Iterable[str], weight: Weight | None, sample: Sample | None) -> str | None:
    """What it takes to copy some packages, as "5 files, 300 kB: about 0.3 s here"; None where one is not known."""
    size = _size_of(names, weight)
    if size is None or weight is None:
        return None
    files = counted(*size)
    if sample is None:
        return files
    share = max(size[0] / weight.files, size[1] / weight.size if weight.size else 0)
    return f"{files}: {seconds_words(sample.copies * sample.times * share)} here"


def seconds_for_each_gigabyte(sample: Sample | None) -> str | None:
    """What a copy takes for each GB of such files; None where too little was measured to tell."""
    if sample is None or sample.size < _ENOUGH_FOR_A_RATE:
        return None
    return f"{seconds_words(sample.copies / sample.size * 1e9)} for each GB"


_ENOUGH_FOR_A_RATE = 1_000_000
"""In bytes: a few small files would promise hours."""


def seconds_words(seconds: float) -> str:
    """An estimate, as precise as one that a moment's measurement allows."""
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 120:
        return f"about {seconds:.{0 if seconds >= 10 else 1}f} s"
    return f"about {seconds / 60:.0f} minutes"


def copying(weight: Weight | None, trial: Trial) -> str | None:
    """What installing by copies comes to for a project, in one sentence; None where nothing is known of it.

    The estimate rests on the lockfile and the RECORDs in the cache, so that no file is touched.
    """
    if weight is None or not weight.files:
        return None
    more = f", {weight.unknown} more not in the cache yet" if weight.unknown else ""
    shared = "; copies share their data here, so that they take next to no space" if _shares_data(trial) else ""
    files = counted(weight.files, weight.size)
    packages = f"{weight.packages} package{'s' if weight.packages != 1 else ''}"
    return f"copying writes {files} for {packages} of this project{more} (estimated from lockfile and cache){shared}"


def mode_words(mode: LinkMode, trial: Trial, weight: Weight | None) -> str:
    """Whether a link mode works between the two places, and what it costs there, without its period."""
    works = trial.works.get(Operation(mode.value))
    number = trial.os_errors.get(Operation(mode.value))
    refused = f"does not work here (os error {number})" if number else "does not work here"
    if mode is LinkMode.COPY:
        known = f": {counted(weight.files, weight.size)} for this project" if weight and weight.files else ""
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
    copied = f"{counted(sample.files, sample.size)}: copying took {sample.copies * 1000:.0f} ms"
    return f"{copied}, linking {sample.links * 1000:.0f} ms" if sample.links is not None else f"{copied}, no links"


def place_words(place: Place) -> str:
    """A place as a person knows it: its file system and where that is mounted."""
    return f"{place.filesystem or 'an unknown file system'} (`{place.mount_point or place.path}`)"


def counted(files: int, size: int) -> str:
    """Files and bytes, as one measure."""
    return f"{files} file{'s' if files != 1 else ''}, {size_words(size)}"


def size_words(size: int) -> str:
    """A number of bytes in the unit that suits it, powers of 1000 as disks are sold."""
    amount, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{size} bytes" if units[0] == "bytes" else f"{amount:.{0 if amount >= 10 else 1}f} {units[0]}"


def _size_of(names: Iterable[str], weight: Weight | None) -> tuple[int, int] | None:
    sizes = [weight.each.get(name) for name in names] if weight else []
    known = [size for size in sizes if size is not None and size[0]]
    if not known or len(known) < len(sizes):
        return None
    return sum(files for files, _ in known), sum(size for _, size in known)


def _shares_data(trial: Trial) -> bool:
    """Where clones work, uv's copies are clones, too: both ask the file system to share (copy_file_range(2))."""
    return trial.works.get(Operation.CLONE) is True

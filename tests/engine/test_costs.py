"""What copying costs, in words: only what was measured in seconds, and never more precise than a moment can tell."""

from dataclasses import replace

import pytest

from uv_link_doctor.engine.costs import part, price, price_of_part, seconds_for_each_gigabyte, seconds_words
from uv_link_doctor.engine.model import Operation, Sample, Trial, Weight

EACH = {"httpx": (24, 310_000), "certifi": (5, 30_000_000), "empty": (0, 0)}
WEIGHT = Weight(files=2_431, size=68_000_000, packages=12, unknown=0, each=EACH)
SAMPLE = Sample(files=200, size=5_000_000, copies=0.19, links=0.025, times=12.1)
LINKED = Trial({Operation.HARDLINK: True, Operation.CLONE: False})
BORDER = Trial({Operation.HARDLINK: False, Operation.CLONE: False}, {Operation.HARDLINK: 18})
CLONED = Trial({Operation.HARDLINK: True, Operation.CLONE: True})
ALL = "makes a whole install copy 2431 files, 68 MB"
SHARED = "and next to no space, since copies share their data here"
UNKNOWN = ", and what 2 packages that are not in the cache yet will add"


@pytest.mark.parametrize(
    ("weight", "sample", "trial", "said"),
    [
        (None, SAMPLE, LINKED, None),
        (replace(WEIGHT, files=0), SAMPLE, LINKED, None),
        (WEIGHT, None, Trial(), f"{ALL}, where links would take next to nothing"),
        (WEIGHT, None, BORDER, ALL),
        (WEIGHT, None, CLONED, f"{ALL}, which takes next to no space, since copies share their data here"),
        (
            WEIGHT,
            SAMPLE,
            LINKED,
            f"{ALL}: about 2.3 s here, where links would take about 0.3 s, and as much space again",
        ),
        (WEIGHT, replace(SAMPLE, links=None), BORDER, f"{ALL}: about 2.3 s here, and as much space again"),
        (
            WEIGHT,
            SAMPLE,
            CLONED,
            f"{ALL}: about 2.3 s here, where links would take about 0.3 s, {SHARED}",
        ),
        (
            replace(WEIGHT, unknown=2),
            replace(SAMPLE, copies=0.001, links=0.001),
            LINKED,
            f"{ALL}{UNKNOWN}: less than 0.1 s here, where links would take less than 0.1 s, and as much space again",
        ),
        (
            replace(WEIGHT, files=1, size=7, unknown=1),
            None,
            BORDER,
            "makes a whole install copy 1 file, 7 bytes, and what a package that is not in the cache yet will add",
        ),
    ],
)
def test_the_price_of_copies(weight, sample, trial, said):
    assert price(weight, sample, trial) == said


@pytest.mark.parametrize(
    ("names", "sample", "said"),
    [
        (["httpx"], SAMPLE, "24 files, 310 kB: less than 0.1 s here"),
        (["certifi"], SAMPLE, "5 files, 30 MB: about 1.0 s here"),
        (["httpx", "certifi"], None, "29 files, 30 MB"),
        (["httpx", "unheard-of"], SAMPLE, None),
        (["empty"], SAMPLE, None),
        ([], SAMPLE, None),
    ],
)
def test_the_price_of_some_packages_is_their_share(names, sample, said):
    assert price_of_part(names, WEIGHT, sample) == said
    assert part(names, WEIGHT) == (f" ({said.partition(':')[0]})" if said else "")
    assert price_of_part(names, None, sample) is None


def test_what_moves_is_told_by_its_rate():
    assert seconds_for_each_gigabyte(SAMPLE) == "about 38 s for each GB"
    assert seconds_for_each_gigabyte(replace(SAMPLE, size=900)) is None
    assert seconds_for_each_gigabyte(None) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than 0.1 s"),
        (0.11, "about 0.1 s"),
        (2.26, "about 2.3 s"),
        (10.4, "about 10 s"),
        (119, "about 119 s"),
        (1_000, "about 17 minutes"),
    ],
)
def test_an_estimate_says_so(seconds, said):
    assert seconds_words(seconds) == said

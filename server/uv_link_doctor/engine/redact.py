"""What a text tells of a person, a company or their secrets, and the text without it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

HIDDEN = "…"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """What tells whose machine this is, and what lets in where this user may go; as the system spells it."""

    homes: tuple[str, ...] = ()
    """Home directories, absolute, by each name that leads there."""
    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)


NOTHING = Private()


def redact(text: str, private: Private = NOTHING) -> str:
    """The text without what is private; redacting it again changes nothing.

    Each pass that changes something leaves fewer characters that could be hidden, so that there is a last one.
    """
    while (hidden := _pass(text, private)) != text:
        text = hidden
    return text


def redacted(value: _Value, private: Private = NOTHING) -> _Value:
    """A value with every text in it redacted, and the item after a secret option in a command hidden."""
    changed: _Value = _changed(value, lambda text: redact(text, private), _without_arguments)
    return changed


def each_text(value: _Value, change: Callable[[str], str]) -> _Value:
    """A value of lists, tuples, mappings and dataclasses with every text in it changed; keys stay as they are."""
    changed: _Value = _changed(value, change, list)
    return changed


def says_secret(name: str) -> bool:
    """Whether a variable's or an option's name says that its value is for nobody else."""
    return _SECRET_NAME.search(name) is not None


def _pass(text: str, private: Private) -> str:
    for pattern, shown in _rules(private):
        text = pattern.sub(shown, text)
    return text


def _changed(value: Any, change: Callable[[str], str], items: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
    """The value with its texts changed, once `items` has looked at each sequence as a whole."""
    match value:
        case Enum():
            return value
        case str():
            return change(value)
        case dict():
            return {key: _changed(each, change, items) for key, each in value.items()}
        case list() | tuple():
            return type(value)(_changed(each, change, items) for each in items(value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{it.name: _changed(getattr(value, it.name), change, items) for it in fields(value)})
    return value


def _without_arguments(items: Sequence[Any]) -> Sequence[Any]:
    """The items, but for each text that is the argument of a secret option before it."""
    return [
        HIDDEN if isinstance(item, str) and isinstance(option, str) and _SECRET_OPTION.fullmatch(option) else item
        for option, item in zip((None, *items), items, strict=False)
    ]


# --- the patterns -------------------------------------------------------------------------
#
# A text can be long and hostile. So that no pattern takes more than linear time, each begins with something fixed, or
# where a run of characters begins (a lookbehind for the same class), and runs that can begin anywhere are bounded.

_Rule = tuple[re.Pattern[str], str]

_QUOTES = "\"'`<>"
_WORDS = "token|passw(?:or)?d|passphrase|secret|credential|key|auth|username|(?<![a-z])pa(?:t|ss)"
_SECRET_NAME = re.compile(rf"(?:{_WORDS})s?\d*(?:[_-]|$)", re.IGNORECASE)
_SECRET_OPTION = re.compile(rf"--?[\w-]*(?:{_WORDS})s?", re.IGNORECASE)

_VALUE = (
    r"""(?:(?:…|"[^"\n]{0,500}"|'[^'\n]{0,500}')(?=[\s,;)\]}]|$)"""
    r"""|(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'|[^\s"'`])+|["'][^\s`]+)"""
)
"""In quotes; as a shell has it, quoted and bare pieces in one word; what is left of a quote that never ends."""
_HOST = r"(?:[\w.:\[\]%…-]*[\w\]…])?"
_USERINFO = (
    rf"(?:[^\s/?#{_QUOTES}]*"
    # A slash that nobody escaped in a password; after a host and a colon there would be a port.
    rf"|[^\s/:@\[{_QUOTES}]{{0,100}}:(?!\d+(?:[/?#\s{_QUOTES}]|$))[^\s@{_QUOTES}]{{0,200}})"
)
_FOLDER = (
    rf"(?:[^\s\\/{_QUOTES}:;,|)](?:[^\\/\r\n`\"<>:;|]{{0,100}}[^\s\\/`\"<>:;|])?(?=[\\/])"
    rf"|[^\s\\/{_QUOTES}:;,|)]+)"
)
"""The name of one folder: with spaces in it where a separator shows its end, else one word."""
_TITLE = (
    rf"(?:[^\s\\/{_QUOTES}](?:[^\\/\r\n`\"<>|]{{0,100}}[^\s\\/`\"<>|])?(?=[\\/])"
    rf"|[^\s\\/{_QUOTES}]+(?: (?-i:[A-Z0-9&])[^\s\\/{_QUOTES}]*){{0,6}})"
)
"""The same for the name of a company, which may go on with a capital after a space."""
_NO_MORE_OF_IT = r"(?![\w%-]|\.\w)"

_CREDENTIALS: tuple[_Rule, ...] = (
    (re.compile(rf"://{_USERINFO}@{_HOST}"), "://…@…"),
    (re.compile(rf"(://(?:(?!://)[^\s?#{_QUOTES}])*)\?[^\s#{_QUOTES}]+"), r"\1?…"),
    (re.compile(rf"(://(?:(?!://)[^\s#{_QUOTES}])*)#[^\s{_QUOTES}]+"), r"\1#…"),
    (
        re.compile(rf"(?<![\w-])(--[\w-]*(?:{_WORDS})s?(?:=|[\"']?,?[ \t]{{1,3}})){_VALUE}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            rf"(?<![\w-])([\w-]*(?:token|passw(?:or)?d|passphrase|secret|credentials?|(?<=[_-])(?:key|auth|username|pat|pass))"
            rf"(?:[\"']? ?=(?!=) ?|[\"'] ?: ?)|[\w-]*(?:passw(?:or)?d|passphrase|secret): ?){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"(?<!\w)(authorization[\"']? ?[:=] ?[\"']?(?:(?:basic|bearer|token) )?)[^\s\"'`]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?<!\w)(bearer )[\w.~+/=-]{16,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?<![\w-])(?:pypi-[\w-]{16,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|gl(?:pat|ptt|dt|rt|cbt|ft)-[\w-]{16,}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)|hf_\w{20,}|xox[a-z]-[\w-]{10,}|eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?)"
        ),
        HIDDEN,
    ),
)
_CLOUDS: tuple[_Rule, ...] = (
    (re.compile(rf"(OneDrive(?: |%20)-(?: |%20)){_TITLE}", re.IGNORECASE), r"\1…"),
    (re.compile(rf"(CloudStorage/[A-Za-z]+-|(?<=[\\/])(?:OneDrive|GoogleDrive)-){_FOLDER}"), r"\1…"),
    (re.compile(r"(Dropbox(?: |%20)\()[^()\\/\r\n]{1,100}\)"), r"\1…)"),
)
_PLACES: tuple[_Rule, ...] = (
    (
        re.compile(
            r"(?<![A-Za-z])([A-Za-z](?::|%3A)[\\/]{1,4}(?:Users|Documents and Settings)[\\/]{1,4})"
            rf"(?!(?:Public|Default|All Users)(?:[\\/]|$)){_FOLDER}",
            re.IGNORECASE,
        ),
        r"\1…",
    ),
    (
        re.compile(
            r"(?<![\w.~…-])((?:[\\/]{1,2}[\w.:%$…-]+){0,3}[\\/]{1,2}(?:home|Users)[\\/]{1,2})"
            rf"(?!(?:Public|Default|Shared|linuxbrew|…)(?![\w.-]))[^\s\\/{_QUOTES}:;,|)]+"
        ),
        r"\1…",
    ),
    (
        re.compile(rf"(?<![\w\\:…])(\\{{2,4}}(?:\?\\UNC\\)?)(?!wsl|[?.]\\)[^\s\\/{_QUOTES}]+(\\{{1,2}}){_FOLDER}"),
        r"\1…\2…",
    ),
    (re.compile(rf"(?<![\w:/\\.~…])//(?!wsl)[^\s\\/{_QUOTES}]+/{_FOLDER}"), "//…/…"),
)
_ADDRESSES: tuple[_Rule, ...] = (
    (re.compile(r"(?<![\w.+-])[\w.+-]+(?:@|%40)(?:[\w-]+\.)+[A-Za-z]{2,}(?![\w-])"), "…@…"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?!file:|https?:)[\w-][\w.-]*(?=:(?!//)[\w/~.])"), "…@…"),
    (re.compile(r"(?<![\w./\\-])[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}(?=:/(?!/))"), HIDDEN),
)


@lru_cache(maxsize=4)
def _rules(private: Private) -> tuple[_Rule, ...]:
    """In the order in which they apply: what a rule needs to see must not have been hidden by one before it."""
    return (
        *_literally(_secret_spellings(private.secrets)),
        *_CREDENTIALS,
        *_CLOUDS,
        *((re.compile(pattern, re.IGNORECASE), "~") for pattern in _longest_first(map(_home, private.homes))),
        *_PLACES,
        *_ADDRESSES,
        *_one_of(private.users, r"(?:(?<=[\\/~])(?:{})" + _NO_MORE_OF_IT + r"|(?<![\w.-])(?:{})(?=@))"),
        *_one_of(private.hosts, r"(?<![\w-])(?:{})(?![\w-])"),
    )


def _literally(secrets: Iterable[str]) -> Iterable[_Rule]:
    """Long secrets wherever they stand, shorter ones as whole words; what is shorter still protects nothing."""
    long = [re.escape(secret) for secret in _longest_first(secrets) if len(secret) >= 8]
    short = [re.escape(secret) for secret in _longest_first(secrets) if 4 <= len(secret) < 8]
    if long:
        yield re.compile("|".join(long)), HIDDEN
    if short:
        yield re.compile(rf"(?<!\w)(?:{'|'.join(short)})(?!\w)"), HIDDEN


def _secret_spellings(secrets: Iterable[str]) -> list[str]:
    """Each secret as it is, and as it stands in a URL."""
    plain = [secret for secret in secrets if secret.strip() and not _ORDINARY.fullmatch(secret)]
    return [*plain, *(quote(secret, safe="", errors="replace") for secret in plain)]


def _home(home: str) -> str:
    """A pattern for a home directory, with either separator, doubled ones, and as it stands in a URI."""
    parts = [part for part in re.split(r"[\\/]+", home) if part]
    if not parts or (len(parts) == 1 and not home.startswith("/")):
        return ""  # The root of a file system, or nothing: every path would lie in it.
    spelled = (f"(?:{re.escape(part)}|{re.escape(quote(part, errors='replace'))})" for part in parts)
    if home.startswith("\\\\"):
        start = r"(?<![\w\\:])\\\\"
    else:
        start = r"(?<![\w.~…-])/" if home.startswith("/") else r"(?<![A-Za-z0-9])(?:\\\\\?\\)?"
    return start + r"[\\/]{1,4}".join(spelled) + _NO_MORE_OF_IT


def _one_of(names: Iterable[str], form: str) -> Iterable[_Rule]:
    """Names that tell who it is, in a form with `{}` where they go."""
    telling = [re.escape(name) for name in _longest_first(names) if len(name) > 2 and not _ORDINARY.fullmatch(name)]
    if telling:
        yield re.compile(form.replace("{}", "|".join(telling)), re.IGNORECASE), HIDDEN


def _longest_first(texts: Iterable[str]) -> list[str]:
    """Without empty ones and repetitions, so that no part of a longer one is hidden first."""
    return sorted(filter(None, dict.fromkeys(texts)), key=len, reverse=True)


_ORDINARY = re.compile(
    "admin|administrator|app|build|builder|cache|ci|code|codespace|container|debian|default|dev|docker|false|fedora"
    "|gitpod|guest|home|host|lib|linux|local|localhost|macos|none|null|project|public|python|root|runner|runneradmin"
    "|server|src|system|test|true|ubuntu|user|users|vagrant|venv|vscode|windows|work|workspace",
    re.IGNORECASE,
)
"""Names of users and machines, and values of variables, that tell nothing: hiding them would only shred words."""

"""
What people and programs write in the cells of a statement, and what it means.

A cell is read as it is meant, or refused with ``ValueError``: a wrong amount is worse than a row that staff look at.
"""

import re
import unicodedata
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import chain

from django_paiementpro.normalization import fold

#: How many texts of a kind are remembered: statements say the same again and again.
CACHED = 4_096

#: No amount of francs is longer.
MAX_DIGITS = 15

#: Days from 2000 to 2099 as Excel numbers them.
FIRST_SERIAL, LAST_SERIAL = 36_526, 73_050
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  the zone is the statement's

_CURRENCY = r"(?:F ?CFA|FRANCS?(?: CFA)?|CFA|X[OA]F|FR?)\.?"
_CURRENCY_AROUND = re.compile(rf"(?:{_CURRENCY} ?(?![A-Z]))?(.*?)(?: ?(?<![A-Z]){_CURRENCY})?", re.IGNORECASE)
_SIGN_AROUND = re.compile(r"([+-]?) ?(.*?) ?([+-]?)")
_PARENTHESES = re.compile(r"\((.*)\)")

# The same separator between all groups of three digits, and another mark before decimals. Three digits after a single
# mark are a group, since francs have no thousandths.
_AMOUNT = re.compile(
    r"""(?P<whole>[1-9][0-9]{0,2}(?:(?P<group>[\ .,'])[0-9]{3})(?:(?P=group)[0-9]{3})*|[0-9]+)
    (?:(?P<mark>[.,])(?P<fraction>[0-9]{1,2}|[0-9]{4,}))?""",
    re.VERBOSE,
)

_DATE = re.compile(
    r"""(?:(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})
    |(?P<day2>[0-9]{1,2})[-/.](?P<month2>[0-9]{1,2})[-/.](?P<year2>[0-9]{4}|[0-9]{2})
    |(?P<day3>[0-9]{1,2})(?:er|st|nd|rd|th)?[\ .-]+(?P<word>[a-z]{3,9})[\ .,-]+(?P<year3>[0-9]{4}|[0-9]{2})
    |(?P<word4>[a-z]{3,9})[\ .-]+(?P<day4>[0-9]{1,2})(?:st|nd|rd|th)?[\ .,-]+(?P<year4>[0-9]{4}))
    (?:(?:t|,|\ |-|a|at)+(?P<time>[0-9].*))?""",
    re.VERBOSE,
)
_TIME = re.compile(
    r"""(?P<hour>[0-9]{1,2})\ ?[:h]\ ?(?P<minute>[0-9]{2})?(?:\ ?[:m]\ ?(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]+))?)?
    (?:\ ?(?:s|min|mn))?\ ?(?P<half>[ap]\.?m\.?)?\ ?(?P<zone>z|utc|gmt|[+-][0-9]{2}:?(?:[0-9]{2})?)?""",
    re.VERBOSE,
)

_WEEKDAY = re.compile(r"\A(?:lun|mar|mer|jeu|ven|sam|dim|mon|tue|wed|thu|fri|sun)[a-z]*[. ,]+(?=[0-9])")

# By their first letters, in French and in English, folded.
_MONTHS = (
    ("jan",),
    ("fev", "feb"),
    ("mar",),
    ("avr", "apr"),
    ("mai", "may"),
    ("juin", "jun"),
    ("juil", "jul"),
    ("aou", "aug"),
    ("sep",),
    ("oct",),
    ("nov",),
    ("dec",),
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PAID = _words(
    "success successful succes succeeded paid paye payee reussi reussie complete completed complet validee valide "
    "valid approved approuve approuvee accepted accepte acceptee effectue effectuee termine terminee confirme "
    "confirmee confirmed ok oui yes true 0 00 settled regle reglee"
)
_NOT_PAID = _words(
    "failed failure echec echoue echouee fail error erreur pending attente initiated initie initiee processing cours "
    "cancelled canceled cancel annule annulee expired expire expiree refused refuse refusee rejected rejete rejetee "
    "declined abandonne abandonnee unpaid impaye impayee non no false -1 timeout"
)
_REFUND = re.compile(r"rembours|refund|revers(al|ed)|chargeback|retrofacturation|contestation|recredit|restitution")
_OTHER = re.compile(
    r"reversement|payout|retrait|withdraw|settlement|abonnement|subscription|solde|balance|"
    r"^(frais|fees?|commissions?|charges?)\b"
)
_TOTAL = re.compile(r"(sous[- ]?|sub|grand )?tota(l|ux)|solde|balance|somme|cumul|sum\b|nombre de|count\b")


@lru_cache(CACHED)
def simplified(text: str) -> str:
    """Return the text folded, with single spaces: ``  N° Référence`` is ``no reference``."""
    return " ".join(fold(text).split())


@lru_cache(CACHED)
def read_amount(text: str) -> int:
    """
    Return whole francs: ``12 500,00 F CFA``, ``12.500``, ``12,500.00`` and ``12500`` are 12500.

    A minus sign on either side, or parentheses, make the amount negative. Raises ``ValueError`` for anything else,
    fractions of a franc included.
    """
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")
    plain = _digits(" ".join(re.sub("[\u2019\u02bc\u0060\u00b4]", "'", plain).split()))
    is_negative = False
    if match := _PARENTHESES.fullmatch(plain):
        plain, is_negative = match[1].strip(), True
    plain = _without_currency(plain)
    before, plain, after = _SIGN_AROUND.fullmatch(plain).groups()  # type: ignore[union-attr]  # it matches any line
    if len(before + after) + is_negative > 1:
        raise ValueError(f"more than one sign: {text!r}")
    match = _AMOUNT.fullmatch(_without_currency(plain))
    if not match or (match["mark"] and match["mark"] == match["group"]) or int(match["fraction"] or 0):
        raise ValueError(f"not an amount in whole francs: {text!r}")
    whole = re.sub("[^0-9]", "", match["whole"])
    if len(whole) > MAX_DIGITS:
        raise ValueError("too many digits")
    return -int(whole) if is_negative or "-" in before + after else int(whole)


def _without_currency(text: str) -> str:
    return _CURRENCY_AROUND.fullmatch(text)[1]  # type: ignore[index]  # it matches any line


def _digits(text: str) -> str:
    """Return the text with the digits of every script as ASCII."""
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def read_moment(text: str, time: str = "", *, zone: tzinfo) -> tuple[datetime, bool]:
    """
    Return a moment, and whether its time of day is known.

    Dates are in ISO format, or with the day first, or numbers of Excel's days. A month may be a French or English word.
    Without a UTC offset the moment is in ``zone``. Raises ``ValueError``.
    """
    plain = simplified(_digits(unicodedata.normalize("NFKC", text)))
    clock = simplified(_digits(time))
    if re.fullmatch(r"[0-9]{5}(?:[.,][0-9]+)?", plain):
        return _read_serial(plain, clock, zone)
    match = _DATE.fullmatch(plain) or _DATE.fullmatch(_WEEKDAY.sub("", plain))
    if not match:
        raise ValueError(f"not a date: {text!r}")
    found = {name.rstrip("234"): value for name, value in match.groupdict().items() if value}
    month = _month(found["word"]) if "word" in found else int(found["month"])
    year = int(found["year"])
    day = datetime(year if year > 99 else 2000 + year, month, int(found["day"]), tzinfo=zone)
    if not 2000 <= day.year < 2100:
        raise ValueError(f"not a date of a statement: {text!r}")
    clock = found.get("time") or clock
    return (_with_time(day, clock), True) if clock else (day, False)


def _read_serial(plain: str, clock: str, zone: tzinfo) -> tuple[datetime, bool]:
    number = float(plain.replace(",", "."))
    if not FIRST_SERIAL <= number < LAST_SERIAL:
        raise ValueError(f"not a date of this century: {plain!r}")
    moment = (_EPOCH + timedelta(seconds=round(number * 86_400))).replace(tzinfo=zone)
    if not number.is_integer():
        return moment, True
    return (_with_time(moment, clock), True) if clock else (moment, False)


def _month(word: str) -> int:
    for number, names in enumerate(_MONTHS, start=1):
        if word.startswith(names):
            return number
    raise ValueError(f"not a month: {word!r}")


def _with_time(day: datetime, clock: str) -> datetime:
    if re.fullmatch(r"0[.,][0-9]+", clock):  # a part of Excel's day
        return day + timedelta(seconds=round(float(clock.replace(",", ".")) * 86_400))
    match = _TIME.fullmatch(clock)
    if not match:
        raise ValueError(f"not a time: {clock!r}")
    hour = int(match["hour"])
    if half := match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"not a time: {clock!r}")
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    microsecond = int(f"{match['part'] or 0:0<6}"[:6])
    moment = day.replace(
        hour=hour, minute=int(match["minute"] or 0), second=int(match["second"] or 0), microsecond=microsecond
    )
    offset = re.fullmatch(r"([+-])([0-9]{2}):?([0-9]{2})?", match["zone"] or "")
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return moment.replace(tzinfo=timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes)))
    return moment.replace(tzinfo=timezone.utc) if match["zone"] else moment


@lru_cache(CACHED)
def read_outcome(text: str) -> bool:
    """Return whether a status says that the money has moved. Raises ``ValueError`` if it is not known."""
    plain = simplified(text)
    words = set(re.findall(r"-?[0-9]+|[a-z]+", plain))
    # "non payé" and "not paid" contain the word for paid.
    if words & _NOT_PAID or words & {"not", "pas"} or _has_prefix(words, "un"):
        return False
    if words & _PAID or _REFUND.search(plain):
        return True
    raise ValueError(f"not a known status: {text!r}")


def _has_prefix(words: set[str], prefix: str) -> bool:
    return any(word.startswith(prefix) and word.removeprefix(prefix) in _PAID for word in words)


@lru_cache(CACHED)
def is_refund(*texts: str) -> bool:
    return any(_REFUND.search(simplified(text)) for text in texts)


@lru_cache(CACHED)
def is_other(text: str) -> bool:
    """Return whether a type of operation is neither a payment nor a refund: a payout, a fee, a balance."""
    return bool(_OTHER.search(simplified(text)))


def is_total(row: list[str]) -> bool:
    """Return whether a row sums up others: its first text says so."""
    texts = (simplified(cell) for cell in row if re.search("[^\\W0-9_]", cell))
    return bool(_TOTAL.match(next(chain(texts, [""]))))

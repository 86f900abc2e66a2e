"""The report, JSON and Markdown in English, without secrets, persons and signed URLs: fit for an issue."""

import json
import platform
from dataclasses import asdict
from typing import Any

import django
from django.db import connection
from django.utils import translation

from django_paiementpro.conf import conf
from django_paiementpro.verification.cases import Case
from django_paiementpro.verification.runs import Run
from django_paiementpro.verification.verdict import TRANSPORTS, label_of, sentences, settings_to_write


def as_dict(run: Run) -> dict[str, Any]:
    """Return the report as JSON. References are left out: anyone who has one can ask the status service about it."""
    with translation.override("en"):
        return {
            "django_paiementpro": run.record.version,
            "django": django.get_version(),
            "python": platform.python_version(),
            "database": connection.vendor,
            "environment": conf.environment,
            "started_at": run.record.started_at.isoformat(timespec="seconds"),
            "is_complete": not any(run.unfinished),
            "amount": conf.min_amount,
            "verdict": list(sentences(run.cases)),
            "settings": settings_to_write(run.cases),
            "cases": [_without_reference(case) for case in run.cases],
            "refusals": run.refusals,
        }


def _without_reference(case: Case) -> dict[str, Any]:
    return {name: value for name, value in asdict(case).items() if name != "reference"}


def as_json(run: Run) -> str:
    return json.dumps(as_dict(run), ensure_ascii=False, indent=2) + "\n"


def as_markdown(run: Run) -> str:
    """Return the same for people."""
    report = as_dict(run)
    with translation.override("en"):
        return "\n".join(
            [
                "# Paiement Pro: verification of an account",
                "",
                _installation_line(report),
                "" if report["is_complete"] else "\n**Interrupted: not all cases were tried.**\n",
                "## Verdict",
                "",
                *(f"- {sentence}" for sentence in report["verdict"]),
                *(["", "```python", *report["settings"], "```"] if report["settings"] else []),
                "",
                *(line for case in run.cases for line in _case_lines(case)),
                *(line for transport, tried in run.refusals.items() for line in _refusal_lines(transport, tried)),
                "",
            ]
        )


def _installation_line(report: dict[str, Any]) -> str:
    versions = (
        f"django-paiementpro {report['django_paiementpro']}, Django {report['django']}, Python {report['python']}"
    )
    return f"{versions}, {report['database']}; {report['environment']}; {report['started_at']}"


def _case_lines(case: Case) -> list[str]:
    page = case.page or {"outcome": "not tried"}
    lines = [
        f"## {label_of(case)}, {TRANSPORTS.get(case.transport, case.transport)}",
        "",
        f"- Page: {page['outcome']}"
        + "".join(f", {name} {value}" for name, value in page.items() if name != "outcome"),
        f"- Status: {case.status or 'unknown'}"
        + (f", by {case.settled_by} after {case.settled_after} s" if case.settled_by else ""),
    ]
    for kind, requests in (("Notification", case.notifications), ("Return", case.returns)):
        for number, request in enumerate(requests, 1):
            lines.append(f"- {kind} {number}: {_request_line(request)}")
    lines += [f"- Look-up after {answer['seconds']} s: {_look_up_line(answer)}" for answer in case.look_ups]
    return [*lines, ""]


def _request_line(request: dict[str, Any]) -> str:
    parts = [f"after {request['seconds']} s", request["method"], request["content_type"] or "no body"]
    parts += [f"from {request[name]}" for name in ("remote_address", "forwarded_for") if request.get(name)]
    if request["has_second_question_mark"]:
        parts.append("a second “?”")
    if refused := request.get("refused"):
        parts.append(f"refused: {refused}")
    query, body = request["query"], request["body"]
    places = {"query and body": query} if query == body else {"query": query, "body": body}
    parts += [f"{place}: {_fields_text(fields)}" for place, fields in places.items() if fields]
    return "; ".join(parts)


def _look_up_line(answer: dict[str, Any]) -> str:
    parts = [answer["outcome"]]
    parts += [f"{name} differs" for name, fits in answer.get("matches", {}).items() if not fits]
    if fields := answer.get("fields"):
        parts.append(_fields_text(fields))
    if message := answer.get("message"):
        parts.append(message)
    return "; ".join(parts)


def _fields_text(fields: list[list[str]]) -> str:
    return ", ".join(f"`{name}` {form}" for name, form in fields)


def _refusal_lines(transport: str, tried: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"## Refusals, {TRANSPORTS.get(transport, transport)}", ""]
    for name, outcome in tried.items():
        message = f", “{outcome['message']}”" if outcome.get("message") else ""
        lines.append(f"- {name.replace('_', ' ')}: {outcome['outcome']}{message}")
    return [*lines, ""]

"""Directives that make the reference from the code: each writes reStructuredText, and has it parsed."""

import importlib
import inspect
import logging
import re
import time
from argparse import Action
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import django
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.db import models
from django.template.loader import get_template
from django.template.loader_tags import BlockNode
from django.test import override_settings
from django.utils.module_loading import import_string
from docutils import nodes
from docutils.parsers.rst import directives
from drf_spectacular.generators import SchemaGenerator
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from texts import comment_of, comments_of_keys, docstring_of, indented

from django_paiementpro import log
from django_paiementpro.api import problems
from django_paiementpro.checks import database, installation
from django_paiementpro.conf import Conf, Setting
from django_paiementpro.contrib import tasks
from django_paiementpro.links import checks as links_checks
from django_paiementpro.models import HOST_FIELDS, Payment
from django_paiementpro.monitoring import checks as monitoring_checks
from django_paiementpro.monitoring.opentelemetry import GAUGES
from django_paiementpro.receipts import checks as receipts_checks
from django_paiementpro.sandbox import checks as sandbox_checks
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.webhooks import checks as webhooks_checks


class FromCode(SphinxDirective):
    """Content from the code; the optional first argument names the object."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def say(self, text: str) -> str:
        return self.env.translator.say(text)


def escaped(text: str) -> str:
    """Return a plain text for a place where reStructuredText is read."""
    return re.sub(r"([*`|\\]|_\b|://)", r"\\\1", text)


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


class Settings(FromCode):
    """Each setting: what it means, its default, and what to write, in the words of its own error."""

    def lines(self) -> Iterator[str]:
        for attribute, setting in vars(Conf).items():
            if isinstance(setting, Setting):
                is_required = setting is Conf.merchant_id
                default = self.say("none (required)") if is_required else f"``{as_written(setting.default)}``"
                yield f".. setting:: {setting.name}\n"
                yield indented(self.say(comment_of(Conf, attribute))) + "\n"
                yield f"   :{self.say('Default')}: {default}"
                yield f"   :{self.say('Value')}: {escaped(what_to_write(setting))}\n"


def as_written(value: object) -> str:
    """Return a default as one would write it in a settings file."""
    if isinstance(value, timedelta):
        hours, seconds = divmod(int(value.total_seconds()), 3600)
        return f"timedelta(hours={hours})" if hours else f"timedelta(minutes={seconds // 60})"
    return repr(value).replace("'", '"')


def what_to_write(setting: Setting[Any]) -> str:
    """Return what the setting says to who has written something else."""
    try:
        setting.read(object())
    except ValueError as error:
        return capitalized(str(error))
    raise AssertionError(f"{setting.name} takes anything")


class LogLines(FromCode):
    def lines(self) -> Iterator[str]:
        comments = comments_of_keys(log, "LEVELS")
        for name, level in log.LEVELS.items():
            yield f".. logline:: {name}\n"
            yield indented(f"*{logging_name(level)}.* {self.say(comments[name])}") + "\n"


def logging_name(level: int) -> str:
    return logging.getLevelName(level).lower()


class Command(FromCode):
    """A management command, from its own parser. The second argument names the optional app that has it."""

    required_arguments = 1
    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        name, *app = self.arguments
        command = load_command_class(".".join(["django_paiementpro", *app]), name)
        common = {action.dest for action in BaseCommand().create_parser("manage.py", "")._actions}
        yield f".. program:: {name}\n"
        yield self.say(command.help) + "\n"
        for action in command.create_parser("manage.py", name)._actions:
            if action.dest not in common:
                yield f".. option:: {option(action)}\n"
                yield indented(self.say(capitalized(help_of(action)) + ".")) + "\n"


def option(action: Action) -> str:
    values = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    return " ".join(action.option_strings) + ("" if action.nargs == 0 else f" {action.metavar or values}")


def help_of(action: Action) -> str:
    return str(action.help) % {"default": action.default}


class Choices(FromCode):
    """An enumeration: its values, names and labels, and further attributes."""

    required_arguments = 1
    optional_arguments = 0
    option_spec = {"also": str.split}

    def lines(self) -> Iterator[str]:
        enum = import_string(f"django_paiementpro.enums.{self.arguments[0]}")
        also = self.options.get("also", [])
        yield f".. py:class:: django_paiementpro.enums.{enum.__name__}\n"
        yield indented(self.say(docstring_of(enum))) + "\n"
        for name in also:
            if text := docstring_of(inspect.getattr_static(enum, name).fget):
                yield indented(f"``{name}``\n" + indented(self.say(text))) + "\n"
        yield from (".. list-table::", "   :class: choices", "")
        for member in enum:
            values = ((name, getattr(member, name)) for name in also)
            told = [f"``{name}``" if value is True else value for name, value in values if value]
            yield f"   * - | ``{member.value}``"
            yield f"       | ``{member.name}``"
            yield f"     - {escaped(str(member.label))}"
            yield from [f"     - {', '.join(told)}"] if also else []
        yield ""


class Fields(FromCode):
    """
    The fields of a model, or of one of an optional app (``receipts.models.Receipt``): their types, what they are for.

    ``:owner: host`` limits them to those of a payment that the host writes, ``:owner: app`` to the others.
    """

    required_arguments = 1
    optional_arguments = 0
    option_spec = {"owner": lambda text: directives.choice(text, ("host", "app"))}

    def lines(self) -> Iterator[str]:
        app, _dot, name = self.arguments[0].rpartition(".")
        model = import_string(".".join(filter(None, ("django_paiementpro", app, "models", name))))
        owner = self.options.get("owner")
        for field in model._meta.concrete_fields:
            if field.primary_key or (owner and (field.name in HOST_FIELDS) != (owner == "host")):
                continue
            yield f".. py:attribute:: {model.__name__}.{field.name}"
            yield f"   :type: {type_of(field)}\n"
            yield indented(self.say(comment_of(model, field.name))) + "\n"


def type_of(field: models.Field) -> str:
    """Return the type of a field by Django's name for it: ours only change what is assigned or stored."""
    name = next(base.__name__ for base in type(field).__mro__ if base.__module__.startswith("django.db.models"))
    return f"{name}({field.related_model._meta.object_name})" if field.related_model else name


class Urls(FromCode):
    """The URLs of the app, or of one that is named, their methods, and what their views promise."""

    def lines(self) -> Iterator[str]:
        urls = importlib.import_module(".".join(["django_paiementpro", *self.arguments, "urls"]))
        for pattern in urls.urlpatterns:
            view = pattern.callback.view_class
            methods = ", ".join(name.upper() for name in view.http_method_names if name not in {"head", "options"})
            yield f".. urlname:: {urls.app_name}:{pattern.name}\n"
            yield indented(f"``{methods} {pattern.pattern}``\n")
            yield indented(self.say(docstring_of(view))) + "\n"


class Blocks(FromCode):
    """The blocks of a template."""

    required_arguments = 1
    optional_arguments = 0

    def lines(self) -> Iterator[str]:
        template = get_template(self.arguments[0]).template
        yield ", ".join(f"``{block.name}``" for block in template.nodelist.get_nodes_by_type(BlockNode))


class Permissions(FromCode):
    def lines(self) -> Iterator[str]:
        for name, text in Payment._meta.permissions:
            yield f"``paiementpro.{name}``"
            yield indented(self.say(f"{text}.")) + "\n"


class Metrics(FromCode):
    def lines(self) -> Iterator[str]:
        for gauge in GAUGES:
            yield f".. metric:: {gauge.name}\n"
            yield indented(f"*{escaped(gauge.unit)}.* {self.say(gauge.description)}") + "\n"


CHECK_MODULES = (
    installation,
    database,
    links_checks,
    monitoring_checks,
    receipts_checks,
    sandbox_checks,
    webhooks_checks,
)

MISSING = object()
IMMEDIATE = f"{tasks.FRAMEWORK}.backends.immediate.ImmediateBackend"


def without_urls() -> dict[str, Any]:
    urlconf = ModuleType("no_urls")
    urlconf.urlpatterns = []
    return {"ROOT_URLCONF": urlconf}


def provoked_library() -> list[CheckMessage]:
    with patch.object(links_checks, "find_spec", return_value=None):
        return links_checks.check_links()


def without_time_out() -> dict[str, Any]:
    """Return the settings of a mail server, by the version of Django."""
    if django.VERSION < (6, 1):
        return {"EMAIL_BACKEND": receipts_checks.SMTP}
    return {"MAILERS": {"default": {"BACKEND": receipts_checks.SMTP}}}


#: How to make each check fail: a function, and the settings to call it with.
PROVOCATIONS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "paiementpro.E001": (installation.check_installation, lambda: {"PAIEMENTPRO_MERCHANT_ID": MISSING}),
    "paiementpro.E002": (installation.check_installation, lambda: {"PAIEMENTPRO_ENVIRONMENT": "production"}),
    "paiementpro.E003": (installation.check_installation, without_urls),
    "paiementpro.E004": (installation.check_installation, lambda: {"PAIEMENTPRO_SITE_URL": "http://example.com"}),
    "paiementpro.E005": (installation.check_installation, lambda: {"PAIEMENTPRO_SUCCESS_URL": "shop:thanks-you"}),
    "paiementpro.E006": (installation.check_installation, lambda: {"PAIEMENTPRO_DELIVERY": "task", "TASKS": {}}),
    "paiementpro.E007": (installation.check_installation, lambda: {"USE_TZ": False}),
    "paiementpro.E008": (installation.check_deployment, lambda: {"PAIEMENTPRO_SANDBOX": True}),
    "paiementpro.E009": (
        installation.check_deployment,
        lambda: {"PAIEMENTPRO_GATEWAY_URL": "http://proxy.example.com"},
    ),
    "paiementpro.E010": (
        installation.check_deployment,
        lambda: {
            "PAIEMENTPRO_GATEWAY_URL": "https://shop.example.com/sandbox",
            "PAIEMENTPRO_SITE_URL": "https://shop.example.com",
        },
    ),
    "paiementpro.E011": (lambda: [installation.missing_defusedxml()], dict),
    "paiementpro.E012": (
        installation.check_installation,
        lambda: {"PAIEMENTPRO_TRANSPORT": "soap", "PAIEMENTPRO_ENVIRONMENT": "sandbox"},
    ),
    "paiementpro.W001": (installation.check_installation, lambda: {"PAIEMENTPRO_MERCHANT": "PP-F324"}),
    "paiementpro.W002": (installation.check_deployment, lambda: {"PAIEMENTPRO_ENVIRONMENT": "sandbox"}),
    "paiementpro.W003": (installation.check_installation, dict),
    "paiementpro.W004": (
        installation.check_deployment,
        lambda: {"PAIEMENTPRO_GATEWAY_URL": "https://proxy.example.com"},
    ),
    "paiementpro.W005": (installation.check_deployment, lambda: {"PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS": ["*"]}),
    "paiementpro.W006": (
        installation.check_deployment,
        lambda: {"PAIEMENTPRO_DELIVERY": "task", "TASKS": {"default": {"BACKEND": IMMEDIATE}}},
    ),
    "paiementpro.W007": (partial(installation.compare_phone_numbers, "9.0.43", "8.13.55"), dict),
    "paiementpro.W008": (installation.check_deployment, lambda: {"PAIEMENTPRO_MERCHANT_ID": "PP-F324"}),
    "paiementpro.W009": (
        installation.check_installation,
        lambda: {"MIDDLEWARE": [installation.COMMON, installation.LOCALE]},
    ),
    "paiementpro.W010": (
        installation.check_installation,
        lambda: {"PAIEMENTPRO_TRANSPORT": "soap", "PAIEMENTPRO_STATUS_URL": "https://api.paiementpro.net/status"},
    ),
    "paiementpro_monitoring.W001": (
        monitoring_checks.check_health_token,
        lambda: {"PAIEMENTPRO_HEALTH_TOKEN": "secret"},
    ),
    "paiementpro_links.E001": (links_checks.check_links, without_urls),
    "paiementpro_links.E002": (provoked_library, dict),
    "paiementpro_links.W001": (links_checks.check_links, lambda: {"PAIEMENTPRO_SHOP": {}}),
    "paiementpro_receipts.E001": (partial(receipts_checks.check_packages, {"fpdf_is_missing": "fpdf2"}), dict),
    "paiementpro_receipts.E002": (receipts_checks.check_receipts, without_urls),
    "paiementpro_receipts.W001": (receipts_checks.check_receipts, lambda: {"PAIEMENTPRO_SHOP": {"name": "Chez Awa"}}),
    "paiementpro_receipts.W002": (
        receipts_checks.check_receipts,
        lambda: {"PAIEMENTPRO_RECEIPT_EMAIL": True, "PAIEMENTPRO_SITE_URL": None},
    ),
    "paiementpro_receipts.W003": (
        receipts_checks.check_receipts,
        lambda: {"PAIEMENTPRO_RECEIPT_EMAIL": True, **without_time_out()},
    ),
    "paiementpro.E020": (lambda: [database.several_databases()], dict),
    "paiementpro.E021": (partial(database.check_server, database.ISOLATION, is_read_only=True), dict),
    "paiementpro.E022": (partial(database.check_tables, [("paiementpro_payment", "MyISAM", "utf8mb4")]), dict),
    "paiementpro.W020": (lambda: [database.untested("oracle")], dict),
    "paiementpro.W021": (lambda: [database.not_durable("fsync", "off", "on")], dict),
    "paiementpro.W022": (partial(database.check_server, "serializable", is_read_only=False), dict),
    "paiementpro.W023": (partial(database.check_tables, [("paiementpro_payment", "InnoDB", "latin1")]), dict),
    "paiementpro.W024": (lambda: database.check_clock([(time.time() - 60,)]), dict),
    "paiementpro_sandbox.E001": (sandbox_checks.check_switch, lambda: {"PAIEMENTPRO_SANDBOX": False}),
    "paiementpro_webhooks.W001": (
        webhooks_checks.check_private_addresses,
        lambda: {"PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE": True},
    ),
}


class Checks(FromCode):
    """Each check of the code, with the message of an example."""

    def lines(self) -> Iterator[str]:
        sources = "".join(map(inspect.getsource, CHECK_MODULES))
        for identifier in sorted(set(re.findall(r"paiementpro\w*\.[EW][0-9]{3}", sources)), key=in_order):
            message = provoke(identifier)
            yield f".. check:: {identifier}\n"
            yield indented(escaped(str(message.msg))) + "\n"
            if message.hint:
                yield indented(f"*{escaped(str(message.hint))}*") + "\n"


def provoke(identifier: str) -> CheckMessage:
    """Return the message of a check that fails. Receivers and optional apps are hidden."""
    check, make_settings = PROVOCATIONS[identifier]
    given = make_settings()
    with (
        override_settings(**given),
        patch.object(payment_succeeded, "receiver_names", return_value=[]),
        patch.object(installation, "extensions", return_value=()),
    ):
        for name in (name for name, value in given.items() if value is MISSING):
            delattr(settings, name)
        return next(message for message in check() if message.id == identifier)


def in_order(identifier: str) -> tuple[bool, str]:
    return not identifier.startswith("paiementpro."), identifier


class Problems(FromCode):
    """The problems of the REST API, with the statuses that they are answered with."""

    def lines(self) -> Iterator[str]:
        comments = comments_of_keys(problems, "TITLES")
        for kind, title in problems.TITLES.items():
            yield f".. problem:: {kind}\n"
            yield indented(f"**{problems.STATUSES[kind]}** {escaped(str(title))} {self.say(comments[kind])}") + "\n"


class Operations(FromCode):
    """The operations of the REST API, or of that of an app that is named, from its OpenAPI schema."""

    def lines(self) -> Iterator[str]:
        urlconf = ".".join(["django_paiementpro", *self.arguments, "api.urls"])
        schema = SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)
        self.schemas = schema["components"]["schemas"]
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                yield f".. operation:: {method.upper()} {path}\n"
                yield indented(self.say(f"{operation['summary']}.")) + "\n"
                yield indented(self.say(markdown(operation["description"]))) + "\n"
                yield from map(indented, self.parameters(operation))
                yield from map(indented, self.body(operation))
                yield from map(indented, self.answers(operation))

    def parameters(self, operation: Any) -> Iterator[str]:
        for place, title in (("query", "Query parameters"), ("header", "Headers")):
            found = [parameter for parameter in operation["parameters"] if parameter["in"] == place]
            if found:
                yield f"**{self.say(title)}**\n"
                for parameter in found:
                    yield from self.field(parameter["name"], parameter["schema"], parameter.get("description", ""))

    def body(self, operation: Any) -> Iterator[str]:
        if content := operation.get("requestBody", {}).get("content"):
            schema = self.resolved(content["application/json"]["schema"])
            yield f"**{self.say('Request body')}**\n"
            yield from self.properties(schema)

    def answers(self, operation: Any) -> Iterator[str]:
        yield f"**{self.say('Responses')}**\n"
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                yield f"``{status}``\n" + indented(self.say(answer["description"])) + "\n"
                yield from map(indented, self.headers(answer))
                if content := answer.get("content"):
                    schema = self.resolved(content["application/json"]["schema"])
                    yield from map(indented, self.properties(self.page(schema)))
        others = ", ".join(f"``{status}``" for status in sorted(operation["responses"]) if int(status) >= 400)
        yield f"{others}\n" + indented(self.say("A problem response.")) + "\n"

    def headers(self, answer: Any) -> Iterator[str]:
        """Tell the headers that are this answer's own: all have ``Cache-Control``."""
        for name, header in answer.get("headers", {}).items():
            if name != "Cache-Control":
                yield from self.field(name, header["schema"], header["description"])

    def page(self, schema: Any) -> Any:
        """Return what a page holds, where it is one."""
        return self.resolved(schema["properties"]["results"]["items"]) if "results" in schema["properties"] else schema

    def properties(self, schema: Any) -> Iterator[str]:
        for name, part in schema["properties"].items():
            yield from self.field(name, part, part.get("description", ""))

    def field(self, name: str, schema: Any, description: str) -> Iterator[str]:
        text = markdown(re.split(r"\n\n?\* ", description)[0])
        yield f"``{name}`` : *{kind_in_schema(self.resolved(schema))}*"
        yield indented(self.say(text)) + "\n"

    def resolved(self, schema: Any) -> Any:
        if "$ref" in schema:
            return self.schemas[schema["$ref"].rpartition("/")[2]]
        if found := schema.get("allOf") or schema.get("oneOf"):
            return self.resolved(found[0])
        return schema


def kind_in_schema(schema: Any) -> str:
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    return " | ".join([schema.get("format", kinds[0]) if kinds[0] == "string" else kinds[0], *kinds[1:]])


def markdown(text: str) -> str:
    """Return the schema's Markdown, of which it uses the backquotes, as reStructuredText."""
    return re.sub(r"`([^`]+)`", r"``\1``", text)


DIRECTIVES = {
    "settings": Settings,
    "log-lines": LogLines,
    "command": Command,
    "choices": Choices,
    "fields": Fields,
    "urls": Urls,
    "blocks": Blocks,
    "permissions": Permissions,
    "metrics": Metrics,
    "checks": Checks,
    "problems": Problems,
    "operations": Operations,
}

#: What can be linked to by name, as in :setting:`PAIEMENTPRO_CURRENCY`.
OBJECTS = ["setting", "logline", "metric", "check", "problem", "urlname", "operation"]


def setup(app: Sphinx) -> dict[str, bool]:
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    for name in OBJECTS:
        app.add_object_type(name, name, f"single: %s ({name})")
    return {"parallel_read_safe": False}

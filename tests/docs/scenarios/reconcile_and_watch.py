import configparser
import json
import logging
import os
import re
from io import StringIO
from pathlib import Path

from django.core.management import call_command, load_command_class
from django.core.management.base import BaseCommand
from django.test import TransactionTestCase
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from django_paiementpro import log
from django_paiementpro.doctor.runner import TOPICS
from django_paiementpro.enums import ChannelStatus
from django_paiementpro.management.commands import paiementpro_reconcile
from django_paiementpro.monitoring.health import Health
from tests.docs.pages import blocks, page

NAME = "howto/reconcile-and-watch"
COMMAND = "manage.py paiementpro_reconcile"


class Watch(TransactionTestCase):
    def guides(self) -> list[str]:
        return [page(language, NAME) for language in ("en", "fr")]

    def test_systemd_units_are_complete(self) -> None:
        for language in ("en", "fr"):
            service, timer = (configparser.ConfigParser(interpolation=None) for _ in range(2))
            texts = [block.text for block in blocks(language, NAME) if block.language == "ini"]
            for unit, text in zip((service, timer), texts, strict=True):
                unit.optionxform = str
                unit.read_string(text)
            assert service["Service"]["ExecStart"].endswith(COMMAND)
            assert service["Service"]["SuccessExitStatus"] == str(paiementpro_reconcile.GATEWAY_AWAY)
            assert timer["Timer"]["OnCalendar"] == "*:0/5"

    def test_every_option_and_exit_code_is_documented(self) -> None:
        command = load_command_class("django_paiementpro", "paiementpro_reconcile")
        ours = options_of(command) - options_of(BaseCommand())
        codes = {paiementpro_reconcile.OK, paiementpro_reconcile.ERRORS, paiementpro_reconcile.GATEWAY_AWAY}
        for guide in self.guides():
            assert set(re.findall(r"^``(--[a-z-]+)`` ", guide, re.MULTILINE)) == ours
            assert set(map(int, re.findall(r"^``(\d)`` ", guide, re.MULTILINE))) == codes

    def test_every_topic_of_the_doctor_is_documented(self) -> None:
        command = load_command_class("django_paiementpro", "paiementpro_doctor")
        for guide in self.guides():
            doctor = guide.partition("paiementpro_doctor")[2].partition("django_paiementpro.monitoring")[0]
            assert re.findall(r"^``(\w+)`` ", doctor, re.MULTILINE) == [topic.name for topic in TOPICS]
            assert set(re.findall("--[a-z]+", doctor)) == options_of(command) - options_of(BaseCommand())

    def test_every_problem_is_documented(self) -> None:
        for guide in self.guides():
            table = guide.partition("``problems``")[2].partition("health.health()")[0]
            told = re.findall(r"^``(\w+)``  ", table, re.MULTILINE)
            assert told == ["undelivered", "unreconciled", "overdue"]
            assert all(f"``{name}``" in str(Health.problems.__doc__) for name in told)

    def test_every_status_of_a_channel_is_documented(self) -> None:
        for guide in self.guides():
            table = guide.partition("``channel_health()``")[2]
            assert set(re.findall(r"^``(\w+)``  ", table, re.MULTILINE)) == set(ChannelStatus.values)

    def test_every_error_of_the_log_is_documented(self) -> None:
        for guide in self.guides():
            told = guide.rpartition("*error*")[2].partition(".. code-block")[0]
            assert set(re.findall(r"``([a-z]+_[a-z_]+)``", told)) == {
                name for name, level in log.LEVELS.items() if level >= logging.ERROR
            }

    def test_log_shows_the_figures(self) -> None:
        (handler,) = logging.getLogger("django_paiementpro").handlers
        said = StringIO()
        before = handler.setStream(said)
        try:
            log.write("page_unavailable", outcome="failed", duration=2.5, error="time-out")
        finally:
            handler.setStream(before)
        assert re.search(r"\d WARNING page_unavailable outcome=failed error=time-out duration=2.5\n$", said.getvalue())

    def test_metrics_reach_the_exporter(self) -> None:
        from shop import telemetry

        exported = StringIO()
        telemetry.reader._exporter.out = exported
        assert isinstance(telemetry.reader, PeriodicExportingMetricReader)
        metrics.get_meter_provider().force_flush()
        assert "paiementpro.payments.pending" in exported.getvalue()
        metrics.get_meter_provider().shutdown()

    def test_monitoring_learns_that_nothing_reconciles(self) -> None:
        url = "/paiementpro/health/"
        assert self.client.get(url).status_code == 401
        headers = {"Authorization": f"Bearer {os.environ['PAIEMENTPRO_HEALTH_TOKEN']}"}
        response = self.client.get(url, headers=headers)
        assert response.status_code == 503
        assert response.json()["problems"] == ["unreconciled"]

        call_command("paiementpro_reconcile", stdout=StringIO())
        assert self.client.get(url, headers=headers).status_code == 200

    def test_run_prints_its_result_as_json(self) -> None:
        output = StringIO()
        call_command("paiementpro_reconcile", json=True, stdout=output)
        assert json.loads(output.getvalue())["asked"] == 0
        assert Path("manage.py").exists()


def options_of(command: BaseCommand) -> set[str]:
    parser = command.create_parser("manage.py", "command")
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}

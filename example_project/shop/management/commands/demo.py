import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from shop.catalogue import stock_the_shop

LOCAL_HOST = "127.0.0.1"
USERNAME = PASSWORD = "admin"


class Command(BaseCommand):
    help = "Run the shop for a demonstration: tables, products, a user for the admin, and the server."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        if not (settings.DEBUG and settings.LOCAL_SANDBOX):
            raise CommandError("The demonstration has a password that everybody knows: it runs with DEBUG only.")
        if port != settings.PORT:
            # The settings tell the app where its gateway is, and so must know the port from the start.
            os.environ["PORT"] = str(port)
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606  the same command again
        # A proxy that is set for the world outside would not find the gateway on this machine.
        unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = f"{unproxied},{LOCAL_HOST}" if unproxied else LOCAL_HOST
        call_command("migrate", verbosity=0)
        stock_the_shop()
        self.add_staff()
        self.stdout.write(self.welcome(f"http://{LOCAL_HOST}:{port}"))
        call_command("runserver", f"{LOCAL_HOST}:{port}", use_reloader=False)

    def add_staff(self) -> None:
        users = get_user_model().objects
        if not users.filter(username=USERNAME).exists():
            users.create_superuser(USERNAME, "admin@example.com", PASSWORD)

    def welcome(self, url: str) -> str:
        title, strong = self.style.MIGRATE_HEADING, self.style.SUCCESS
        manage = f"PORT={settings.PORT} {os.path.relpath(sys.executable)} {os.path.relpath(sys.argv[0])}"
        return f"""
{title("La boutique est prête.")} Aucun argent ne circule : la passerelle de paiement est jouée ici même.
  Boutique         {strong(url + "/")}
  Achat express    {strong(url + "/express/")}   une seule page, par l’API REST
  Administration   {strong(url + "/admin/")}   utilisateur {strong(USERNAME)}, mot de passe {strong(PASSWORD)}
  État de santé    {strong(url + "/paiementpro/health/")}   en JSON, une fois connecté à l’administration
  Rapprochement    {manage} paiementpro_reconcile
                   (les paiements dont la notification s'est perdue ; dans un autre terminal)

{title("The shop is ready.")} No money moves: the payment gateway is played right here.
  Shop             {strong(url + "/")}
  Express          {strong(url + "/express/")}   a single page, through the REST API
  Admin            {strong(url + "/admin/")}   user {strong(USERNAME)}, password {strong(PASSWORD)}
  Health           {strong(url + "/paiementpro/health/")}   as JSON, once signed in to the admin
  Reconciliation   {manage} paiementpro_reconcile
                   (for payments whose notification got lost; in another terminal)
"""

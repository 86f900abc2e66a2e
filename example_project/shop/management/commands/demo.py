import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from shop.catalogue import stock_the_shop
from shop.past_sales import record_past_sales

LOCAL_HOST = "127.0.0.1"
USERNAME = PASSWORD = "admin"


class Command(BaseCommand):
    help = "Run the shop as a demonstration: tables, products, sales, a user for the admin, and the server."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not (settings.DEBUG and settings.LOCAL_SANDBOX):
            raise CommandError("The demonstration has a well-known password, so it runs with DEBUG only.")
        # A proxy for outgoing requests would not find the gateway on this machine.
        unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = f"{unproxied},{LOCAL_HOST}" if unproxied else LOCAL_HOST
        call_command("migrate", verbosity=0)
        stock_the_shop()
        record_past_sales(self.add_staff())
        address = f"{LOCAL_HOST}:{settings.PORT}"
        self.stdout.write(self.welcome(f"http://{address}"))
        call_command("runserver", address, use_reloader=False)

    def add_staff(self) -> AbstractBaseUser:
        users = get_user_model().objects
        staff = users.filter(username=USERNAME).first()
        return staff or users.create_superuser(USERNAME, "admin@example.com", PASSWORD)

    def welcome(self, url: str) -> str:
        title, strong = self.style.MIGRATE_HEADING, self.style.SUCCESS
        login = strong(USERNAME), strong(PASSWORD)
        shop, admin = strong(url + reverse("shop:products")), strong(url + reverse("admin:index"))
        takings = strong(url + reverse("admin:paiementpro_payment_daybook"))
        payments = url + reverse("admin:paiementpro_payment_changelist")
        links = strong(url + reverse("admin:paiementpro_links_paymentlink_add"))
        queue, waiting = strong(f"{payments}?review=1"), strong(f"{payments}?status=pending")
        reconcile = f"{set_port()}{shown(sys.executable)} {shown(sys.argv[0])} paiementpro_reconcile"
        return f"""
{title("La boutique est prête.")} Aucun argent ne circule : la passerelle de paiement est simulée ici même.
  Boutique            {shop}
                      Achetez un article, puis payez, refusez, ou ouvrez « Cas particuliers ».
  Administration      {admin}   utilisateur {login[0]}, mot de passe {login[1]}
                      Cherchez un client, ouvrez un paiement, notez un remboursement.
  Journal de caisse   {takings}
                      60 jours de ventes fictives, et les vôtres.
  Lien de paiement    {links}
                      Créez un lien, ouvrez-le comme votre client, payez-le, lisez le reçu.
  À vérifier          {queue}
                      Ouvrez un paiement, suivez le conseil, puis « Marquer comme vérifié ».
  En attente          {waiting}
                      L’un d’eux est payé, mais sa notification s’est perdue : « Interroger la passerelle »,
                      ou dans un autre terminal : {reconcile}

{title("The shop is ready.")} No money moves: the payment gateway is simulated right here.
  Shop                {shop}
                      Buy something, then pay, refuse, or open “Edge cases”.
  Admin               {admin}   user {login[0]}, password {login[1]}
                      Search for a customer, open a payment, record a refund.
  Takings             {takings}
                      60 days of made-up sales, and yours.
  Payment link        {links}
                      Make a link, open it as your customer would, pay it, read the receipt.
  To review           {queue}
                      Open a payment, follow the advice, then “Mark as reviewed”.
  Waiting             {waiting}
                      One has been paid, but its notification got lost: “Ask the gateway now”,
                      or in another terminal: {reconcile}
"""


def shown(name: str) -> str:
    """Return a path as it is typed: relative if it is below the current folder, and quoted if it has spaces."""
    path, here = Path(name).absolute(), Path.cwd()
    text = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return f'"{text}"' if " " in text else text


def set_port() -> str:
    """Return the prefix that tells another command where the gateway is."""
    if settings.PORT == 8000:
        return ""
    return f"set PORT={settings.PORT}&& " if os.name == "nt" else f"PORT={settings.PORT} "

from oscar.apps.checkout import apps

from django_paiementpro.contrib.oscar.apps import connect


class CheckoutConfig(apps.CheckoutConfig):
    """
    Oscar's checkout, paid with Paiement Pro. It replaces ``oscar.apps.checkout.apps.CheckoutConfig``.

    Its label stays ``checkout``, by which oscar finds the classes; those that are not defined here are oscar's own.
    """

    name = "django_paiementpro.contrib.oscar.checkout"

    def ready(self) -> None:
        super().ready()
        connect()

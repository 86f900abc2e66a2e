from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from django_paiementpro.signals import payment_flagged, payment_refunded, payment_succeeded


class ShopConfig(AppConfig):
    name = "shop"
    verbose_name = _("Shop")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from shop import receivers  # noqa: PLC0415  receivers need the models, which are ready only now

        payment_succeeded.connect(receivers.fulfil_order, dispatch_uid="shop.fulfil_order")
        payment_refunded.connect(receivers.close_refunded_order, dispatch_uid="shop.close_refunded_order")
        payment_flagged.connect(receivers.warn_staff, dispatch_uid="shop.warn_staff")

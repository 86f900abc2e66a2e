from django.conf import settings
from pretix.base.plugins import PluginConfig

#: Options of the section [paiementpro] in pretix.cfg; merchant_id is PAIEMENTPRO_MERCHANT_ID.
OPTIONS = ["merchant_id", "environment", "gateway_url"]


class PaiementProPlugin(PluginConfig):
    name = "pretix_paiementpro"
    verbose_name = "Paiement Pro"

    class PretixPluginMeta:
        name = "Paiement Pro"
        author = "Your team"
        description = "Mobile money and cards of West Africa"
        category = "PAYMENT"
        version = "1.0.0"
        compatibility = "pretix>=2026.8.0"

    def ready(self) -> None:
        from pretix_paiementpro import receivers  # noqa: F401

        settings.PAIEMENTPRO_SITE_URL = settings.SITE_URL
        settings.PAIEMENTPRO_URL_NAMESPACE = "plugins:pretix_paiementpro:paiementpro"
        for option in OPTIONS:
            if settings.CONFIG_FILE.has_option("paiementpro", option):
                value = settings.CONFIG_FILE.get("paiementpro", option)
                setattr(settings, f"PAIEMENTPRO_{option.upper()}", value)

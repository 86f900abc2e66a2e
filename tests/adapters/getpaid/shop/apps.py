from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        from getpaid.registry import registry
        from shop.cheques import ChequeProcessor

        registry.register(ChequeProcessor)

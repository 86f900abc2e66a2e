from django import template

from django_paiementpro.conf import conf

register = template.Library()


@register.filter
def francs(amount: int) -> str:
    """Return the amount as people write it, with spaces that do not break: ``12 500 F CFA``."""
    return f"{amount:,}".replace(",", "\u202f") + "\u00a0F\u00a0CFA"


@register.simple_tag
def shop_name() -> str:
    """Return the name that the payment pages show too."""
    return conf.shop.name

from django_paiementpro.contrib.oscar.checkout.calculators import OrderTotalCalculator

__all__ = ["OrderTotalCalculator"]

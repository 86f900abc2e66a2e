"""
The REST API, for shops with their own front end: ``pip install "django-paiementpro[api]"``.

The host decides what is to be paid, with ``PAIEMENTPRO_PAYMENT_FACTORY``, and who may ask, with REST framework's own
settings. Users see their own payments.
"""

try:
    import drf_spectacular as drf_spectacular
    import rest_framework as rest_framework
except ImportError as error:
    raise ImportError('The REST API needs its extra: pip install "django-paiementpro[api]"') from error

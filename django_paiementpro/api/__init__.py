"""
The REST API, for shops with a front of their own: ``pip install "django-paiementpro[api]"``.

The host decides what is to be paid, by ``PAIEMENTPRO_PAYMENT_FACTORY``, and who may ask, by REST framework's own
settings. Each user sees their own payments. The gateway's notification never comes by here.
"""

try:
    import drf_spectacular as drf_spectacular
    import rest_framework as rest_framework
except ImportError as error:
    raise ImportError('The REST API needs its extra: pip install "django-paiementpro[api]"') from error

"""
Payment links over REST, for fronts and bots: ``pip install "django-paiementpro[api,links]"``.

The host's permission classes decide who may use it. Without any of its own, staff may.
"""

"""
What was measured, each with the command that measures it.

``make bench`` measures all of it beside others and prints one table: ``python -m benchmarks`` runs the parts, of which
each is a command of its own, with ``--help``.

``benchmarks.notification``
    Notifications beside views written by hand, django-payments, dj-stripe and django-getpaid, on PostgreSQL
    (``NOTIFICATION_URL``) and on SQLite; what each of them promises is in ``benchmarks.contenders``.
``benchmarks.checkout``, ``benchmarks.rest``
    The checkout and the REST API, beside the bare HTTP call to a gateway that answers at once.
``benchmarks.footprint``
    What the app adds to a start, and a worker's memory.
``benchmarks.reconcile``
    How fast many payments are reconciled with a gateway that takes its time, and in how much memory, on PostgreSQL or
    MariaDB (``OPERATIONS_URL``).
``benchmarks.fill``, ``benchmarks.admin``
    The back office over very many payments, beside a plain ModelAdmin with the same columns, on PostgreSQL
    (``BENCHMARK_URL``).

``make soak`` asks something else: whether anything is lost while everything fails.

Each works on a database of its own, which it makes and empties.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

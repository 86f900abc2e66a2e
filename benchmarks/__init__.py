"""
The benchmarks, and the command that runs each.

``make bench`` runs ``python -m benchmarks``, which runs all parts and prints one table. Each part can also be run
alone, and has ``--help``.

``benchmarks.notification``
    Notifications, compared with views written by hand, django-payments, dj-stripe and django-getpaid, on PostgreSQL
    (``NOTIFICATION_URL``) and SQLite. ``benchmarks.contenders`` describes what each of them promises.
``benchmarks.checkout``, ``benchmarks.rest``
    The checkout and the REST API, compared with the bare HTTP call to a gateway that answers immediately.
``benchmarks.footprint``
    The time that the app adds to a start, and the memory of a worker.
``benchmarks.reconcile``
    Reconciliation of many payments with a slow gateway: its speed and memory, on PostgreSQL or MariaDB
    (``OPERATIONS_URL``).
``benchmarks.slow``
    Fifty checkouts at once with a slow gateway, under gunicorn without and with threads and under uvicorn: how long
    customers and the visitors of the home page wait (``OPERATIONS_URL``).
``benchmarks.fill``, ``benchmarks.admin``
    The back office with a very large number of payments, compared with a plain ModelAdmin with the same columns, on
    PostgreSQL (``BENCHMARK_URL``).

``make soak`` answers another question: whether anything is lost while everything fails.

Each part creates and empties its own database.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

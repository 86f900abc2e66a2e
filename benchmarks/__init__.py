"""
What was measured, each with the command that measures it.

``make bench``: how fast the back office is over a million payments, beside a plain ModelAdmin with the same columns.
``python -m benchmarks.fill`` makes up the payments, ``python -m benchmarks.admin`` measures. Both work on a PostgreSQL
database of their own, ``BENCHMARK_URL``.

``make bench-reconcile``: how fast many payments are reconciled with a gateway that takes its time, and in how much
memory. ``make soak``: whether anything is lost while everything fails. Both work on ``OPERATIONS_URL``, a PostgreSQL or
MariaDB database of their own.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

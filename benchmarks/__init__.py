"""
How fast the back office is over a million payments, beside a plain ModelAdmin with the same columns: ``make bench``.

``python -m benchmarks.fill`` makes up the payments, ``python -m benchmarks.admin`` measures. Both work on a PostgreSQL
database of their own, ``BENCHMARK_URL``.
"""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

"""A host whose receivers write down each call, and of which one in ten fails; Celery carries them."""

from benchmarks.soaked.celery import app

__all__ = ["app"]

"""The Django project: it wires the rooms together and knows no medicine."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]

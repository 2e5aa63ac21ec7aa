from django.apps import AppConfig


class RecordConfig(AppConfig):
    name = "screening.record"
    label = "record"

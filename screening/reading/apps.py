from django.apps import AppConfig


class ReadingConfig(AppConfig):
    name = "screening.reading"
    label = "reading"

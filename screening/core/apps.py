from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "screening.core"
    label = "core"

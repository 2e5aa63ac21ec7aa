from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "screening.oversight"
    label = "oversight"

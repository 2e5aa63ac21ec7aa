from django.apps import AppConfig


class InsightConfig(AppConfig):
    name = "screening.insight"
    label = "insight"

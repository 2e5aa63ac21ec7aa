from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "screening.inference"
    label = "inference"

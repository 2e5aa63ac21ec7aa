from django.apps import AppConfig


class EmergencyConfig(AppConfig):
    name = "screening.emergency"
    label = "emergency"

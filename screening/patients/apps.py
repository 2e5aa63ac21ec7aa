from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "screening.patients"
    label = "patients"

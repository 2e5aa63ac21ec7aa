from django.apps import AppConfig


class BackupConfig(AppConfig):
    name = "screening.backup"
    label = "backup"

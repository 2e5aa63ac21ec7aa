from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "screening.core"
    label = "core"

    def ready(self) -> None:
        from screening.core.row_policies import install_after_migrate
        from screening.core.row_security import tell_new_connection

        connection_created.connect(tell_new_connection, dispatch_uid="row_security")
        post_migrate.connect(install_after_migrate, sender=self, dispatch_uid="row_security")

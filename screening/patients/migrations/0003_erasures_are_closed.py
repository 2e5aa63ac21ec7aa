from __future__ import annotations

from typing import Any

from django.db import migrations

from screening.patients import triggers


def install(apps: Any, schema_editor: Any) -> None:
    triggers.install(schema_editor.connection)


def drop(apps: Any, schema_editor: Any) -> None:
    triggers.drop(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("patients", "0002_holds_and_erasures"), ("audit", "0003_chain")]

    operations = [migrations.RunPython(install, drop)]

from __future__ import annotations

from typing import Any

from django.db import migrations

from screening.governance import triggers


def install(apps: Any, schema_editor: Any) -> None:
    triggers.install(schema_editor.connection)


def drop(apps: Any, schema_editor: Any) -> None:
    triggers.drop(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_operating_points")]

    operations = [migrations.RunPython(install, drop)]

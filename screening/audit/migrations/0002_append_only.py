from __future__ import annotations

from typing import Any

from django.db import migrations

from screening.audit import triggers


def install(apps: Any, schema_editor: Any) -> None:
    triggers.close_events(schema_editor.connection)


def drop(apps: Any, schema_editor: Any) -> None:
    triggers.open_events(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunPython(install, drop)]

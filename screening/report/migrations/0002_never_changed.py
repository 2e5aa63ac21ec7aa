from __future__ import annotations

from typing import Any

from django.db import migrations

from screening.report import triggers


def install(apps: Any, schema_editor: Any) -> None:
    triggers.install(schema_editor.connection)


def drop(apps: Any, schema_editor: Any) -> None:
    triggers.drop(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("report", "0001_reports")]

    operations = [migrations.RunPython(install, drop)]

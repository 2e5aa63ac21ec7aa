from __future__ import annotations

from typing import Any

from django.db import migrations

from screening.reading import triggers


def install_again(apps: Any, schema_editor: Any) -> None:
    """With the way through for the rows of a patient who is erased."""
    triggers.drop(schema_editor.connection)
    triggers.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("reading", "0003_measurements"), ("patients", "0003_erasures_are_closed")]

    operations = [migrations.RunPython(install_again, migrations.RunPython.noop)]

"""What a node's image brings along: PyTorch, MindSpore and the like."""

from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("inventory", "0004_lean_admission")]

    operations = [
        migrations.AddField(
            "node",
            "framework_version",
            models.CharField(blank=True, max_length=60, default="", db_default=""),
        ),
        grants.give({"inventory_node": "UPDATE (framework_version)"}),
    ]

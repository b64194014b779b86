"""A customer that is shut out: its machines stand, and let nobody in."""

from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0009_accounts_have_their_own_table'),
    ]

    operations = [
        migrations.AddField(
            model_name='allocation',
            name='suspended_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='fakemachine',
            name='shut_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='shut_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        grants.give(
            {
                "inventory_allocation": "UPDATE (suspended_at)",
                "inventory_instance": "UPDATE (shut_at)",
            }
        ),
    ]

"""Terms of acceptance; channels whose addresses are encrypted anew."""

from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0003_rights'),
    ]

    operations = [
        migrations.AddField(
            model_name='lease',
            name='last_warned_of',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='acceptance_hours',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='acceptance_mb_per_second',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name='termsversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('acceptance_hours', 0), ('acceptance_mb_per_second', 0)), models.Q(('acceptance_hours__gte', 1), ('acceptance_mb_per_second__gte', 1)), _connector='OR'), name='terms_acceptance_whole_or_none'),
        ),
        grants.give(
            {
                "marketplace_channel": "UPDATE (target)",
                "marketplace_lease": "UPDATE (last_warned_of)",
            }
        ),
    ]

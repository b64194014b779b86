"""Up to which hour a provider's charges are settled, so that none are read again."""

import datetime

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0040_selling_modes'),
        ('inventory', '0012_suspension'),
        ('marketplace', '0018_selling_modes'),
    ]

    operations = [
        migrations.CreateModel(
            name='SettledMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('hour', models.DateTimeField()),
            ],
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(condition=models.Q(django.db.models.lookups.GreaterThan(django.db.models.expressions.CombinedExpression(models.F('created_at'), '-', models.F('hour')), datetime.timedelta(days=1))), fields=['provider', 'currency', 'hour'], name='charge_late'),
        ),
        migrations.AddField(
            model_name='settledmark',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddConstraint(
            model_name='settledmark',
            constraint=models.UniqueConstraint(fields=('provider', 'currency'), name='one_settled_mark'),
        ),
        grants.give({"billing_settledmark": "UPDATE (hour)"}),
    ]

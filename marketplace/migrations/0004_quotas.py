"""Quotas, and what a reservation takes up of them."""

import django.db.models.deletion
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0003_entry_begin"),
        ("inventory", "0002_capacity_sql"),
    ]

    operations = [
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='quo', unique=True)),
                ('authority', models.CharField(choices=[('tenant', 'the organisation'), ('operator', 'the operator')], max_length=8)),
                ('measure', models.CharField(choices=[('spend', 'spend'), ('card_hours', 'card-hours'), ('held_card_hours', 'card-hours held')], max_length=16)),
                ('window', models.CharField(choices=[('month', 'each calendar month'), ('total', 'in all'), ('at_once', 'at one time')], max_length=8)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('limit_minor', models.BigIntegerField(blank=True, null=True)),
                ('limit_card_hours', models.BigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('set_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='reservation',
            name='card_count',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='reservation',
            name='committed_card_seconds',
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='reservation',
            name='committed_minor',
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='reservation',
            name='pay_by',
            field=models.CharField(choices=[('wallet', 'from the wallet'), ('bank', 'by bank transfer')], default='wallet', max_length=6),
        ),
        migrations.AddField(
            model_name='quota',
            name='api_key',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='inventory.apikey'),
        ),
        migrations.AddField(
            model_name='quota',
            name='organisation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='quotas', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='quota',
            name='project',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='inventory.project'),
        ),
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('api_key', models.CharField(blank=True, max_length=80)),
                ('currency', models.CharField(max_length=3)),
                ('month', models.DateField()),
                ('minor', models.BigIntegerField()),
                ('card_seconds', models.BigIntegerField()),
            ],
        ),
        migrations.AddField(
            model_name='commitment',
            name='project',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, to='inventory.project'),
        ),
        migrations.AddField(
            model_name='commitment',
            name='tenant',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='inventory.organisation'),
        ),
        migrations.AddIndex(
            model_name='commitment',
            index=models.Index(fields=['tenant', 'month'], name='commitment_by_month'),
        ),
    ]

"""What was known of an organisation's bank account has moved to billing's table of them."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0008_refusals_let_go'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='organisation',
            name='bank_account',
        ),
        migrations.RemoveField(
            model_name='organisation',
            name='bank_name',
        ),
    ]

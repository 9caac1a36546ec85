"""Commands that a plugin brings along, and two that are no good."""

import click

NOT_A_COMMAND = 7


@click.command()
@click.option("--name", default="you")
def greet(name):
    """Greet somebody."""
    click.echo(f"Hello {name}")

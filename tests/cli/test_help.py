"""`gpusim --help`."""

import typer.main

from gpusim.cli import app
from gpusim.cli.app import COMMANDS


def test_every_command_is_in_one_panel_and_panels_follow_the_work():
    group = typer.main.get_command(app)
    listed = group.list_commands(None)
    assert sorted(listed) == sorted(group.commands)
    panels = list(dict.fromkeys(group.commands[name].rich_help_panel for name in listed))
    assert panels == list(COMMANDS)

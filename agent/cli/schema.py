"""`git pipeline schema`: print the JSON Schema of the pipeline files, for editors."""

import json

import click


@click.command(short_help="print the JSON Schema of the pipeline files")
def command() -> None:
    """Print the JSON Schema of the pipeline files.

    An editor with a YAML language server uses it where a file says `# yaml-language-server: $schema=<path or URL>`.
    """
    from agent.definition.schema import schema

    click.echo(json.dumps(schema(), indent=2))

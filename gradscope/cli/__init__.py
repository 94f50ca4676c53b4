"""The command ``gradscope``: one file a command."""

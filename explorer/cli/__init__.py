"""The command line: one file a subcommand or a few of one kind."""

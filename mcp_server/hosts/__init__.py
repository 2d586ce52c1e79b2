"""The programs that start the server: where each keeps its settings, and how we get in and out.

`catalog` lists them, `shapes` says how each writes a server (`servers`) down, and `links` makes
links that open them. `changes` works out what becomes of a file; `settings_file` reads and replaces
it with a backup, `masking` shows it without keys. `settings_text` is what `json_text`, `toml_text`,
`yaml_text` and `vscode_text` do with its text; `json_reader` says where in it everything is.
`own_program` is the command that a host is given.
"""

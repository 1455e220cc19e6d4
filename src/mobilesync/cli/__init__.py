"""The command line: puts the service together, and speaks to a person.

`root` lists the commands, each a module of its name; `server` is the whole service in one process,
put together; `settings` is the table of all that can be turned.
"""

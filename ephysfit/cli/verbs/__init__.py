"""One verb a file, imported when it is asked for.

Imports stand at the top, but for what takes a second to load (torch): help and a usage error do not wait for that.
"""

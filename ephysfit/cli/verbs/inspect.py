"""placeholder"""


def inspect() -> None:
    """x"""

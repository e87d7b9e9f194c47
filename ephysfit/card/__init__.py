"""The card of a cell: what a recording says of it before any fit, each value with unit and interval."""

"""The card of a cell: what a recording says of it before any fit, each value with unit, interval and how it was found."""

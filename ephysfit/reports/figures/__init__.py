"""Figures of reports and of recordings: functions that draw into an axes or return a figure, without pyplot.

`plots` lists those of a report.
"""

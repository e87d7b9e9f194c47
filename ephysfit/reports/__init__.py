"""Reports: a fit seen against the recording it was tested on, as tables, figures and one page."""

"""Reports: a fit compared with the recording it was tested on, as tables, figures and one HTML page."""

"""Studies: many runs, described by one file, compared with statistics."""

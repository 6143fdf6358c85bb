"""Building blocks of figures: panels, lines, exhibits."""

"""What figures are made of: panels, lines, an exhibit of a page."""

"""Reads a run folder and returns text and images; never trains, and never uses the network."""

from tutelage.report.document import write_report
from tutelage.report.terminal import terminal_table

__all__ = ["terminal_table", "write_report"]

"""The only code that touches disk: records, other people's forms of data, and run folders. No torch."""

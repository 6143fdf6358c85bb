"""The only code that touches the disk: records, external data formats, and run folders. No torch."""

"""Writing: strokes, ink on paper, and ink compared with what was to be written."""

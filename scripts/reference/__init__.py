"""How docs/reference is written: words of Markdown, docstrings, programs, pictures, pages."""

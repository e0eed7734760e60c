"""Reports: documents in Markdown and HTML, figures, and contact sheets."""

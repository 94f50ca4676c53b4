"""What pages are made of: templates, figures, words and tables."""

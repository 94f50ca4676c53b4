"""Programs that could be changed by recording them, trained bare and recorded and compared bit by bit."""

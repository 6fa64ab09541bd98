"""The wire: messages and how they travel. No torch in here."""

"""Rank 0's loop and its books: what is asked, what is out, who works, when it ends. No torch in here."""

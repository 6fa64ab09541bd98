"""A worker rank: the supervisor that talks to rank 0, and the evaluator process that trains. No torch in here."""

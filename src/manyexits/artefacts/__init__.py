"""What people look at: tables, figures, captions, the card, and the records that they rebuild from."""

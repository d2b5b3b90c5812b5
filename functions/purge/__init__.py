"""Delete-on-read: a result goes when its download window ends."""

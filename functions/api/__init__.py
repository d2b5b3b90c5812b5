"""HTTP: jobs for signed callers, one-time links for whoever has them."""

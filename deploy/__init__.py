"""`make deploy`: a few questions, whose answers SAM then finds in samconfig.toml."""

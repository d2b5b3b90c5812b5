"""The acceptance test of a deployed stack, with the operator's own credentials: `python -m operate.verify`.

`use` does what users do, `settings` reads what is deployed, `logs` what the functions wrote meanwhile. Each check is
passed, failed or not judged; the last with its reason, never silently.
"""

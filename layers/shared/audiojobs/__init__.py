"""What the functions share: jobs and their states, the store, objects, links, settings and telemetry.

``errors``, ``conversion``, ``filenames``, ``references``, ``passphrases``, ``job`` and ``links`` are pure: standard
library only, no I/O.
``store``, ``objects``, ``purges`` and ``announcements`` are the only modules that talk to AWS.
"""

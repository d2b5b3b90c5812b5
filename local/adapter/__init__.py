"""The difference between the template and what the emulator makes of it.

`template_changes` changes what cannot hold on loopback, before the deployment. After it, `reapply` sets through the AWS
APIs what the emulator's CloudFormation drops, and `comparison` reads every setting back (`read_back`) and compares it
with the template. A setting that the emulator holds otherwise and a property that nobody taught this package are
reported alike.

What AWS does with a setting over time (expiry, throttling, memory limits) the emulator does not do, set or not.
"""

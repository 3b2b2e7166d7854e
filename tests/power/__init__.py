"""The journal on disks that lose power, fail, fill up, lie and forget."""

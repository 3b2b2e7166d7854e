"""Cards made of software: the operating system, the file images, one file per kind."""

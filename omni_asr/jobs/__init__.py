"""Running commands as parallel jobs: the launcher's job arrays, and one module per back end in ``backends``."""

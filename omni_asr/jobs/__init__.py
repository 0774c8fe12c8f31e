"""Running commands as parallel jobs: the back ends of the launcher."""

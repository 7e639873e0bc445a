"""The families of jobs that Lamplighter brings along. Each uses only the public face of the engine and integrations."""

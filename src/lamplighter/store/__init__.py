"""Where jobs are kept. The engine knows only the protocol in `base`; `open_store` picks the store by URL."""

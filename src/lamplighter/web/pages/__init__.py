"""The pages of the dashboard: one file per noun, as in `web/api`."""

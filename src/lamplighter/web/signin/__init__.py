"""Who somebody is, where no host says it: by key, by token, or by a session that begins with a password or a link."""

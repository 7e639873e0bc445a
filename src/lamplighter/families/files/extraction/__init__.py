"""What a file says and what is known about it, found out in processes that can be killed."""

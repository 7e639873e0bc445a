"""What happens, added up: hours, days and months of each tenant."""

"""What a controller is made of: watches, plans, results, and the one dispatcher that retries."""

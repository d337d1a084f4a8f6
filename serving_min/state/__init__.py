"""What each user did lately, between requests: in memory, or in Redis where several processes share it."""

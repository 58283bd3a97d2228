"""All that is known of other methods than GetNet: which there are, how they run, where their results lie."""

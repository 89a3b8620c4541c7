package embedded

// Waiting is the number of requests in the queue.
func Waiting(e *Engine) int { return len(e.calls) }

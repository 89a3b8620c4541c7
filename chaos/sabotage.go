package main

import "context"

type bug struct {
	name     string
	caughtBy []string
}

var bugs []bug

func sabotage(ctx context.Context, c config) error { return nil }

package ratelimit

import (
	"math"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	b, err := New[int](Rate{PerSecond: 2, Burst: 3}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if wait := b.Take(1, now); wait != 0 {
			t.Fatalf("request %d of the burst waits %v", n, wait)
		}
	}
	for range 100 { // asking is free: the time does not grow
		if wait := b.Take(1, now); wait != 500*time.Millisecond {
			t.Fatalf("one more waits %v, want 500ms", wait)
		}
	}
	if b.Take(2, now) != 0 {
		t.Error("another client waits")
	}
	if b.Take(1, now.Add(500*time.Millisecond)) != 0 {
		t.Error("a client that waited as told is refused")
	}
	for client := range 100 {
		b.Take(client, now)
	}
	if b.of.Len() != 2 {
		t.Errorf("%d clients are remembered, want 2", b.of.Len())
	}
}

func TestRatesAreChecked(t *testing.T) {
	for _, test := range []struct {
		rate Rate
		ok   bool
	}{
		{Rate{}, true}, {Rate{PerSecond: 0.5, Burst: 1}, true}, {Rate{Burst: 1}, true},
		{Rate{PerSecond: 1}, false}, {Rate{PerSecond: -1, Burst: 1}, false}, {Rate{PerSecond: 1, Burst: -1}, false},
		{Rate{PerSecond: math.NaN(), Burst: 1}, false}, {Rate{PerSecond: math.Inf(1), Burst: 1}, false},
	} {
		if err := test.rate.Validate("address"); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.rate, err)
		}
	}
}

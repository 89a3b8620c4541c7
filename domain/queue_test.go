package domain_test

import (
	"math"
	"testing"

	"boxoffice/domain"
)

func TestQueueSettings(t *testing.T) {
	for _, c := range []struct {
		name           string
		floor, ceiling float64
		ok             bool
	}{
		{"the defaults", 0, 0, true},
		{"a low ceiling alone", 0, 0.5, true},
		{"a high floor alone", 500, 0, true},
		{"equal", 5, 5, true},
		{"a floor above the ceiling", 6, 5, false},
		{"too little", 0.01, 5, false},
		{"too much", 1, domain.QueueRateMax + 1, false},
		{"negative", -1, 5, false},
		{"not a number", math.NaN(), 5, false},
	} {
		err := domain.QueueSettings{RateFloor: c.floor, RateCeiling: c.ceiling}.WithDefaults().Validate()
		if (err == nil) != c.ok || err != nil && domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A queue that saw many databases keeps the newest of them, and the first.
func TestEpochsAreBounded(t *testing.T) {
	q := domain.Queue{Joined: 5}
	for epoch := 1; epoch <= 1000; epoch++ {
		q.Epoch = epoch
		q.BeginEpoch()
		q.BeginEpoch()
		q.Joined++
	}
	n := len(q.Epochs)
	if n > 40 || q.Epochs[0] != (domain.QueueEpoch{Epoch: 1, From: 5}) || q.Epochs[n-1] != (domain.QueueEpoch{Epoch: 1000, From: 1004}) {
		t.Errorf("%d epochs: %v", n, q.Epochs)
	}
	if q.Epoch = 0; !q.HasLost(0, 1004) || q.HasLost(q.EpochNumber(), 1004) {
		t.Error("the newest index belongs to the last epoch alone")
	}
}

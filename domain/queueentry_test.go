package domain_test

import (
	"testing"
	"time"

	"boxoffice/domain"
)

func TestStampsOfEntries(t *testing.T) {
	for _, now := range []time.Time{time.Unix(1_770_000_000, 0), time.Unix(131_070*13_000, 0), time.Unix(131_070*13_000-1, 0)} {
		for _, ago := range []time.Duration{0, time.Second, 15 * time.Minute, 17 * time.Hour, -time.Minute, -17 * time.Hour} {
			at := now.Add(-ago)
			stamp := domain.QueueStamp(at)
			got, ok := domain.QueueStampTime(stamp, now)
			if off := got.Sub(at).Abs(); !ok || off > 2*time.Second || stamp < 1 || stamp > 1<<16-1 {
				t.Errorf("%v before %v: %v, off by %v", ago, now, got, off)
			}
		}
	}
	if _, ok := domain.QueueStampTime(0, time.Now()); ok {
		t.Error("0 is a time")
	}
}

package domain

import "time"

// Entries into a sale are kept as stamps of two bytes a place, in chunks of this many.
const QueueChunkPlaces = 512

const (
	queueStampUnit = 2 * time.Second
	queueStamps    = 1<<16 - 1 // 0 means none
	queueStampSpan = queueStamps * queueStampUnit
)

// QueueStamp is a time as a chunk keeps it, 1…65535, to two seconds. It repeats after 36
// hours, when no token is valid any more.
func QueueStamp(t time.Time) int {
	return int(t.UnixNano()/int64(queueStampUnit)%queueStamps) + 1
}

// QueueStampTime is the time of a stamp within 18 hours of now. It is not ok for 0, which
// means none.
func QueueStampTime(stamp int, now time.Time) (at time.Time, ok bool) {
	if stamp == 0 {
		return time.Time{}, false
	}
	ago := time.Duration((QueueStamp(now)-stamp+queueStamps)%queueStamps) * queueStampUnit
	if ago > queueStampSpan/2 {
		ago -= queueStampSpan
	}
	return now.Add(-ago), true
}

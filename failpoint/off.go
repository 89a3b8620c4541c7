//go:build !failpoints

package failpoint

import "time"

// Enabled says whether the points are compiled in.
const Enabled = false

// Before is the point before a step has its effect.
func Before(part, step string) {}

// After is the point after the effect, before anybody learns of it.
func After(part, step string) {}

// Fail is the error that an armed step fails with; nil otherwise.
func Fail(part, step string) error { return nil }

// Clock is the clock of a part.
func Clock(string) func() time.Time { return time.Now }

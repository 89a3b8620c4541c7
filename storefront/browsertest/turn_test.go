package browsertest

import (
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// A buyer who is let in sees how long the turn lasts, and one who is late sees that they
// will be let in again.
func TestATurnCountsDown(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	s.places["place-admitted-of-a-test"] = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusAdmitted, AdmittedUntil: time.Now().Add(15 * time.Minute)}
	s.places["place-that-is-late-in-a-test"] = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusWaiting, Late: true, Position: 3, Ahead: 2, RetryAfter: time.Second}
	v := newVisitor(t)
	v.open(s.URL + "/queue/place-admitted-of-a-test")
	v.shownHeading("It is your turn")
	v.wait(`/^00:14:\d\d$/.test(document.querySelector('[data-field="until"]').textContent)`)
	v.open(s.URL + "/queue/place-that-is-late-in-a-test")
	v.shows("Your turn has passed")
}

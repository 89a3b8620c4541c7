package mockpay

import (
	"slices"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// A course is how a session ends: what happens to it, and what the box office is told. It
// includes tricks with money and lost webhooks, because one transaction decides them all:
// what happened is then on disk, whatever happens to the process.
type course struct {
	status   mockpay.SessionStatus // open: only an attempt ends
	declined bool                  // an attempt was declined
	reports  []report
	lost     bool    // the report is never sent
	played   []Trick // that caused this
}

// A report is a webhook that will be sent.
type report struct {
	event domain.PaymentEventType
	after time.Duration
}

// payCourse is what happens to a session when somebody chooses an outcome. The last decline
// that a session may have fails it: a provider does not let anybody try cards for ever.
func (t *tricks) payCourse(end ending, s *sessionRecord) course {
	switch {
	case end.status == mockpay.SessionProcessing:
		return course{status: end.status} // nothing is decided, and nothing reported
	case s.Status == mockpay.SessionProcessing:
		return t.courseTo(end) // no card, which could be declined
	}
	var played []Trick
	declines := s.Declines
	if end.status == mockpay.SessionCaptured && t.play(TrickDecline) && declines < t.declinesEach() {
		end, played = endings[mockpay.OutcomeDeclined], []Trick{TrickDecline}
	}
	declined := end.event == domain.PaymentDeclined
	if declined && declines+1 >= domain.DeclinesMax {
		end = endings[mockpay.OutcomeFailed]
	}
	c := t.courseTo(end)
	c.declined, c.played = declined, append(played, c.played...)
	return c
}

func (t *tricks) courseTo(end ending) course {
	c := course{status: end.status, reports: []report{{event: end.event}}}
	switch captured := end.status == mockpay.SessionCaptured; {
	case captured && t.play(TrickContradict):
		c.reports = []report{{event: domain.PaymentFailed}, {domain.PaymentSucceeded, t.late()}}
		c.played = []Trick{TrickContradict}
	case !captured && end.status != mockpay.SessionOpen && t.play(TrickCaptureLate):
		c.status = mockpay.SessionCaptured
		c.reports = append(c.reports, report{domain.PaymentSucceeded, t.late()})
		c.played = []Trick{TrickCaptureLate}
	default:
		t.lose(&c)
	}
	t.putOff(&c)
	return c
}

// authorized is the course of a session whose payment is captured later: what would have
// been captured and reported is authorised.
func (c course) authorized() course {
	c.status, c.reports = mockpay.SessionAuthorized, slices.Clone(c.reports)
	for i := range c.reports {
		if c.reports[i].event == domain.PaymentSucceeded {
			c.reports[i].event = domain.PaymentAuthorized
		}
	}
	return c
}

// expireCourse is what happens to an open session when the box office expires it.
// admitted says whether the box office is told about a capture.
func (t *tricks) expireCourse() (c course, admitted bool) {
	c = course{status: mockpay.SessionExpired}
	switch {
	case t.play(TrickCaptureAtExpire):
		c = course{status: mockpay.SessionCaptured, reports: []report{{event: domain.PaymentSucceeded}}, played: []Trick{TrickCaptureAtExpire}}
		t.lose(&c)
		admitted = true
	case t.play(TrickCaptureLate):
		c = course{status: mockpay.SessionCaptured, reports: []report{{domain.PaymentSucceeded, t.late()}}, played: []Trick{TrickCaptureLate}}
	}
	t.putOff(&c)
	return c, admitted
}

// captureCourse is a capture made by hand, in whatever state the session is.
func (t *tricks) captureCourse(open bool) course {
	c := course{status: mockpay.SessionCaptured, reports: []report{{event: domain.PaymentSucceeded}}}
	if open {
		t.lose(&c)
	}
	t.putOff(&c)
	return c
}

// lose is only for a session that the box office has heard nothing about yet: it still
// asks at its deadline. After it was told that there is no capture, only the report tells
// it about one. Losing that report would be money that only an auditor could find.
func (t *tricks) lose(c *course) {
	if t.play(TrickLose) {
		c.lost = true
		c.played = append(c.played, TrickLose)
	}
}

func (t *tricks) putOff(c *course) {
	if len(c.reports) == 0 || c.lost || !t.play(TrickDelay) {
		return
	}
	for i := range c.reports {
		c.reports[i].after += t.delay()
	}
	c.played = append(c.played, TrickDelay)
}

// ISO 4217's code for testing, and another one for sales in it.
const (
	wrongCurrency      = "XTS"
	otherWrongCurrency = "EUR"
)

// alter makes a capture differ from what was due.
func (t *tricks) alter(c *domain.Capture) (played []Trick) {
	if t.play(TrickWrongAmount) {
		if c.AmountMinor > 0 {
			c.AmountMinor--
		} else {
			c.AmountMinor++
		}
		played = append(played, TrickWrongAmount)
	}
	if t.play(TrickWrongCurrency) {
		if c.Currency == wrongCurrency {
			c.Currency = otherWrongCurrency
		} else {
			c.Currency = wrongCurrency
		}
		played = append(played, TrickWrongCurrency)
	}
	return played
}

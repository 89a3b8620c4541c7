package paymentstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"boxoffice/domain"
	"boxoffice/payments"
)

// authorizer is the subject's, if it can authorise.
func (s *Subject) authorizer() (payments.Authorizer, bool) {
	p, ok := s.Provider.(payments.Authorizer)
	return p, ok && p.Authorizes()
}

// authorized opens a session and pays in it, and returns what is authorised.
func (s *Subject) authorized(ctx context.Context, o payments.Opening) (page domain.PayPage, money domain.Capture, err error) {
	o.Authorize = true
	if page, err = s.opened(ctx, o); err != nil {
		return page, money, err
	}
	if err = s.Do(ctx, page, Pay); err != nil {
		return page, money, fmt.Errorf("pay: %w", err)
	}
	found, err := s.Provider.Session(ctx, page.Session)
	if err != nil || found.Status != payments.SessionAuthorized || found.Capture == nil || !found.Capture.Authorized {
		return page, money, fmt.Errorf("a session that is to be authorised reads %+v, %v", found, told(err))
	}
	return page, *found.Capture, isOf(*found.Capture, page, o)
}

// mustAuthorize counts what is authorised of a session in the provider's list.
func (s *Subject) mustAuthorize(ctx context.Context, session string, want int) error {
	p, _ := s.authorizer()
	n := 0
	for c, err := range p.Authorizations(ctx) {
		if err != nil {
			return err
		}
		if c.Session == session {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("session %s has %d authorisations in the list, want %d", session, n, want)
	}
	return nil
}

func checkAuthorized(ctx context.Context, s *Subject) error {
	p, ok := s.authorizer()
	if !ok {
		return nil
	}
	page, money, err := s.authorized(ctx, opening())
	if err != nil {
		return err
	}
	_, event, err := s.event(ctx)
	reported := money
	reported.CapturedAt = event.Capture().CapturedAt
	if err != nil || event.Type != domain.PaymentAuthorized || event.Capture() != reported || !event.Usable() {
		return fmt.Errorf("the event is %+v, %v; authorised is %+v", event, told(err), money)
	}
	for range 2 {
		outcome, err := p.Expire(ctx, page.Session)
		if err != nil || outcome.Captured || !outcome.Authorized || outcome.Capture != money {
			return fmt.Errorf("expire: %+v, %v; want %+v", outcome, told(err), money)
		}
	}
	_ = s.Do(ctx, page, Pay) // whatever it answers, the money is authorised once
	if err := errors.Join(s.mustList(ctx, page.Session, 0), s.mustAuthorize(ctx, page.Session, 1)); err != nil {
		return err
	}
	return s.mustCapture(ctx, page, money)
}

// mustCapture captures what is authorised, many times at once, and then tries to release it.
func (s *Subject) mustCapture(ctx context.Context, page domain.PayPage, money domain.Capture) error {
	p, _ := s.authorizer()
	const atOnce = 4
	var all sync.WaitGroup
	outcomes, errs := make([]domain.ExpireOutcome, atOnce), make([]error, atOnce)
	for i := range errs {
		all.Go(func() {
			errs[i] = known(ctx, func() (err error) {
				outcomes[i], err = p.CaptureAuthorized(ctx, page.Session)
				return err
			})
		})
	}
	all.Wait()
	found, err := p.Session(ctx, page.Session)
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	if found.Status != payments.SessionCaptured || found.Capture == nil {
		return fmt.Errorf("a captured session reads %+v", found)
	}
	if taken := *found.Capture; taken.Authorized || taken.Payment != money.Payment || taken.AmountMinor != money.AmountMinor || taken.Currency != money.Currency {
		return fmt.Errorf("captured is %+v, authorised was %+v", taken, money)
	}
	want := domain.ExpireOutcome{Captured: true, Capture: *found.Capture}
	if slices.ContainsFunc(outcomes, func(o domain.ExpireOutcome) bool { return o != want }) {
		return fmt.Errorf("capture answers %+v, want %+v", outcomes, want)
	}
	released, releaseErr := p.ReleaseAuthorized(ctx, page.Session)
	expired, expireErr := p.Expire(ctx, page.Session)
	if err := errors.Join(releaseErr, expireErr); err != nil || released != want || expired != want {
		return fmt.Errorf("after the capture release says %+v and expire %+v (%v), want %+v", released, expired, told(err), want)
	}
	if err := errors.Join(s.mustList(ctx, page.Session, 1), s.mustAuthorize(ctx, page.Session, 0)); err != nil {
		return err
	}
	if err := p.Refund(ctx, refundOf(*found.Capture, "back", money.AmountMinor)); err != nil {
		return fmt.Errorf("refund of what was captured: %w", err)
	}
	return s.mustReturn(ctx, money.Payment, money.AmountMinor)
}

func checkReleased(ctx context.Context, s *Subject) error {
	p, ok := s.authorizer()
	if !ok {
		return nil
	}
	type step struct {
		name string
		do   func(context.Context, string) (domain.ExpireOutcome, error)
	}
	release, capture := step{"release", p.ReleaseAuthorized}, step{"capture", p.CaptureAuthorized}
	for name, steps := range map[string][]step{"release": {release, release, capture}, "a refused capture": {capture, release, capture}} {
		if refused := name != "release"; refused && s.RefuseCaptures == nil {
			continue
		} else if refused {
			s.RefuseCaptures(true)
		}
		page, money, err := s.authorized(ctx, opening())
		if err != nil {
			return err
		}
		for i, step := range steps {
			if outcome, err := step.do(ctx, page.Session); err != nil || outcome.Paid() {
				return fmt.Errorf("%s, step %d: %s says %+v, %v; want that nothing was captured", name, i+1, step.name, outcome, told(err))
			}
			if s.RefuseCaptures != nil {
				s.RefuseCaptures(false)
			}
		}
		if err := errors.Join(s.mustStayUnpaid(ctx, page), s.mustAuthorize(ctx, page.Session, 0)); err != nil {
			return fmt.Errorf("after %s: %w", name, err)
		}
		if err := p.Refund(ctx, refundOf(money, "back", money.AmountMinor)); err == nil {
			return fmt.Errorf("after %s the payment was refunded, and nothing was taken", name)
		}
	}
	return nil
}

func checkCaptureOrRelease(ctx context.Context, s *Subject) error {
	p, ok := s.authorizer()
	if !ok {
		return nil
	}
	const rounds = 10
	for range rounds {
		page, _, err := s.authorized(ctx, opening())
		if err != nil {
			return err
		}
		var both sync.WaitGroup
		var captured, released domain.ExpireOutcome
		var captureErr, releaseErr error
		both.Go(func() {
			captureErr = known(ctx, func() (err error) {
				captured, err = p.CaptureAuthorized(ctx, page.Session)
				return err
			})
		})
		both.Go(func() {
			releaseErr = known(ctx, func() (err error) {
				released, err = p.ReleaseAuthorized(ctx, page.Session)
				return err
			})
		})
		both.Wait()
		if err := errors.Join(captureErr, releaseErr); err != nil {
			return err
		}
		taken := 0
		if captured.Captured {
			taken = 1
		}
		if captured != released {
			return fmt.Errorf("capture says %+v, release says %+v", captured, released)
		}
		if err := errors.Join(s.mustList(ctx, page.Session, taken), s.mustAuthorize(ctx, page.Session, 0)); err != nil {
			return err
		}
	}
	return nil
}

func checkNothingAuthorized(ctx context.Context, s *Subject) error {
	p, ok := s.authorizer()
	if !ok {
		return nil
	}
	for name, decide := range map[string]func(context.Context, string) (domain.ExpireOutcome, error){
		"capture": p.CaptureAuthorized, "release": p.ReleaseAuthorized,
	} {
		o := opening()
		o.Authorize = true
		page, err := s.opened(ctx, o)
		if err != nil {
			return err
		}
		if outcome, err := decide(ctx, page.Session); err != nil || outcome.Paid() {
			return fmt.Errorf("%s of an open session: %+v, %v", name, outcome, told(err))
		}
		if err := s.Do(ctx, page, Pay); err == nil {
			return fmt.Errorf("after the %s of an open session it was paid", name)
		}
		if err := s.mustStayUnpaid(ctx, page); err != nil {
			return fmt.Errorf("after the %s of an open session: %w", name, err)
		}
		const nobodys = "ps_0197a3b4000000000000000000000f00"
		if outcome, err := decide(ctx, nobodys); err != nil && domain.CodeOf(err) != domain.CodeNotFound || outcome.Paid() {
			return fmt.Errorf("%s of a session that nobody opened: %+v, %v", name, outcome, told(err))
		}
		s.SetAway(true)
		_, err = decide(ctx, page.Session)
		listErr := endOf(p.Authorizations(ctx))
		s.SetAway(false)
		if !domain.IsUnknown(err) || !domain.IsUnknown(listErr) {
			return fmt.Errorf("in an outage %s says %v and the list %v, want unknown errors", name, told(err), told(listErr))
		}
	}
	return nil
}

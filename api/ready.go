package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/admission"
)

// readyTimeout limits all checks of /readyz together.
const readyTimeout = 2 * time.Second

// check runs all checks at once. Clients that ask meanwhile share the answer: anybody may
// ask, and every run costs a request to each part that we depend on.
func (s *Server) check(ctx context.Context) []error {
	done := s.checking.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
		defer cancel()
		failures := make([]error, len(s.Checks))
		var wg sync.WaitGroup
		for i, check := range s.Checks {
			wg.Go(func() { failures[i] = check.Probe(ctx) })
		}
		wg.Wait()
		return failures, nil
	})
	s.checkers.Add(1)
	defer s.checkers.Add(-1)
	select {
	case result := <-done:
		return result.Val.([]error)
	case <-ctx.Done(): // the client left: nobody reads this
		failures := make([]error, len(s.Checks))
		for i := range failures {
			failures[i] = errors.New("gave no answer in time")
		}
		return failures
	}
}

// checkOf is what /readyz says about a part. It is advisory: all nodes lose a part at
// once, and a node that takes no requests never finds out that the part is back.
func checkOf(b *admission.Breaker) Check {
	return Check{Name: b.Name() + " circuit", Advisory: true, Probe: func(context.Context) error {
		if b.IsOpen() {
			return errors.New("open: it did not answer; requests are refused at once until it does")
		}
		if failures := b.FailuresInARow(); failures >= silentFrom {
			return fmt.Errorf("the last %d requests had no answer; a part that answers here may be unable to write: look at its disk first", failures)
		}
		return nil
	}}
}

// silentFrom failures in a row are told before a breaker opens: a part whose disk is full answers every other check, and few
// buyers may come at night.
const silentFrom = 3

// NewProbes answers /healthz, /readyz and /metrics for a process without the API, as
// Server does on the organiser's own listener, and its profiles. Of the options it takes those.
func NewProbes(o Options) (http.Handler, error) {
	if err := o.LogSource.validate(); err != nil {
		return nil, err
	}
	s := &Server{Options: o, log: o.Log}
	s.bound()
	if o.AdminToken != "" { // only profiles want one
		admins, err := ParseAdmins(o.AdminToken)
		if err != nil {
			return nil, fmt.Errorf("api: BOXOFFICE_ADMIN_TOKEN: %w", err)
		}
		s.admins = knownAdmins(admins)
	}
	var err error
	if s.metrics, err = newMetrics(prometheus.NewRegistry(), s); err != nil {
		return nil, err
	}
	e := s.newEngine()
	e.GET(healthRoute, s.healthz)
	e.GET(readyRoute, s.readyz)
	e.GET(metricsRoute, s.scrape)
	if s.Profiles {
		e.GET(profilesRoute, s.profile)
	}
	answerHead(e)
	return e, nil
}

package embedded_test

import (
	"testing"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/conformance"
)

// developmentEventsMax is what a server in development mode takes in a request.
const developmentEventsMax = 253

func TestConformanceOfTheEngine(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Target{
		Client: open(t, t.TempDir(), embedded.Options{}), BatchEventsMax: embedded.BatchEventsMax,
	})
}

func TestConformanceOfARealServer(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Target{Client: real(t), BatchEventsMax: developmentEventsMax})
}

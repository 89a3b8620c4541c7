package workflows_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"boxoffice/workflows"
)

// The endings whose histories must be there; `make histories` captures them
// from a real server.
var capturedEndings = []string{
	"paid", "paid-by-signal", "paid-webhook-lost", "sold-out", "limit-reached", "failed", "canceled-by-buyer", "canceled-at-provider",
	"expired", "late-rebooked", "late-refunded", "canceled-then-paid-refunded", "wrong-amount-refunded",
	"refunded-by-organiser", "sale-canceled",
}

// Code that cannot replay these would break the checkouts that are under way
// when it is deployed: version the change (workflow.GetVersion) instead.
func TestHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	require.NoError(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.Checkout)
			replayer.RegisterWorkflow(workflows.Late)
			replayer.RegisterWorkflow(workflows.Refund)
			replayer.RegisterWorkflow(workflows.CancelSale)
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, file))
		})
	}
}

func TestEveryEndingHasAHistory(t *testing.T) {
	for _, ending := range capturedEndings {
		_, err := os.Stat(filepath.Join("testdata/histories", ending+".json"))
		require.NoError(t, err, "run `make histories`")
	}
}

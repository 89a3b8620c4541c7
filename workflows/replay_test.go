package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"boxoffice/workflows"
)

// Code that cannot replay these would break the checkouts that are under way
// when it is deployed: version the change (workflow.GetVersion) instead. That
// every ending has one is TestEveryEndingIsProved's.
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

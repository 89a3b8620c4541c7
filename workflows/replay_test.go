package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/worker"

	"boxoffice/workflows"
)

// Code that cannot replay these would break the checkouts that are under way
// when it is deployed: version the change (workflow.GetVersion) instead. That
// every ending has one is TestEveryEndingIsProved's.
func TestHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.Checkout)
			replayer.RegisterWorkflow(workflows.Late)
			replayer.RegisterWorkflow(workflows.Refund)
			replayer.RegisterWorkflow(workflows.CancelSale)
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Fatal(err)
			}
		})
	}
}

package app

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"boxoffice/activities"
	"boxoffice/admission"
	"boxoffice/domain"
)

var errStage = errors.New("no")

type failingLedger struct{ activities.Ledger }

func (failingLedger) Hold(context.Context, *domain.Order) (domain.Hold, error) {
	return domain.Hold{}, errStage
}

type failingOrders struct{ activities.Orders }

func (failingOrders) Record(context.Context, domain.Sold) (domain.SoldOrder, error) {
	return domain.SoldOrder{}, errStage
}

type failingDesk struct{ admission.Desk }

func (failingDesk) Start(context.Context, domain.Order) (domain.HoldAnswer, error) {
	return domain.HoldAnswer{}, errStage
}

type failingTemporal struct{ client.Client }

func (failingTemporal) UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, errStage
}

// A failed stage counts too, and its error passes unchanged.
func TestStagesTimeWhatFails(t *testing.T) {
	ctx := context.Background()
	for stage, run := range map[string]func(stages) error{
		stageHold: func(s stages) error {
			_, err := timedLedger{failingLedger{}, s}.Hold(ctx, &domain.Order{})
			return err
		},
		stageRecord: func(s stages) error {
			_, err := timedOrders{failingOrders{}, s}.Record(ctx, domain.Sold{})
			return err
		},
		stageDesk: func(s stages) error {
			_, err := timedDesk{failingDesk{}, s}.Start(ctx, domain.Order{})
			return err
		},
		stageUpdate: func(s stages) error {
			_, err := timedTemporal{Client: failingTemporal{}, stages: s}.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{})
			return err
		},
	} {
		t.Run(stage, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			if err := run(newStages(registry)); !errors.Is(err, errStage) {
				t.Errorf("the error is %v", err)
			}
			families, err := registry.Gather()
			if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
				t.Fatalf("gathered %v, %v; want one stage", families, err)
			}
			counted := families[0].GetMetric()[0]
			if name := counted.GetLabel()[0].GetValue(); name != stage || counted.GetHistogram().GetSampleCount() != 1 {
				t.Errorf("counted %v, want stage %s once", counted, stage)
			}
		})
	}
}

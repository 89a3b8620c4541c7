package codec

import (
	"context"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// DataConverter is the SDK's own converter combined with this codec, for client.Options.
//
// A data converter's error inside a workflow fails that workflow for good, and a signal
// that it cannot read is dropped. A node without a key must not end checkouts that way.
// So inside a workflow an unreadable payload is a panic, which fails only the workflow
// task; Temporal retries that until some node has the key. The SDK reads an update's
// arguments without saying that it is inside a workflow: an unreadable update is refused,
// nothing of it is kept, and its sender repeats it.
func (c *Codec) DataConverter() converter.DataConverter {
	return &dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)}
}

// FailureConverter seals the details of failures. Their messages stay readable: operators
// need them at night, and they name ids, never buyers.
func (c *Codec) FailureConverter() converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: c.DataConverter()})
}

// Unsealed is a value that wants to know if its payload was not sealed with this codec's
// keys: whoever wrote it may have none.
type Unsealed interface{ MarkUnsealed() }

// markUnsealed tells values that their payloads were not sealed.
func markUnsealed(payloads []*commonpb.Payload, values ...any) {
	for i, payload := range payloads[:min(len(payloads), len(values))] {
		if value, ok := values[i].(Unsealed); ok && !sealed(payload) {
			value.MarkUnsealed()
		}
	}
}

type dataConverter struct{ converter.DataConverter }

var _ converter.ContextAware = (*dataConverter)(nil)

// WithWorkflowContext implements converter.ContextAware.
func (d *dataConverter) WithWorkflowContext(converter.WorkflowContext) converter.DataConverter {
	return &insideWorkflow{d}
}

// WithContext implements converter.ContextAware.
func (d *dataConverter) WithContext(context.Context) converter.DataConverter { return d }

func (d *dataConverter) FromPayload(payload *commonpb.Payload, value any) error {
	err := d.DataConverter.FromPayload(payload, value)
	if err == nil && payload != nil {
		markUnsealed([]*commonpb.Payload{payload}, value)
	}
	return err
}

func (d *dataConverter) FromPayloads(payloads *commonpb.Payloads, values ...any) error {
	err := d.DataConverter.FromPayloads(payloads, values...)
	if err == nil {
		markUnsealed(payloads.GetPayloads(), values...)
	}
	return err
}

// insideWorkflow panics if a payload cannot be opened. Other errors stay as they are: a
// hand-made signal with wrong arguments is dropped, not retried.
type insideWorkflow struct{ converter.DataConverter }

func (d *insideWorkflow) FromPayload(payload *commonpb.Payload, value any) error {
	return panicIfUnreadable(d.DataConverter.FromPayload(payload, value))
}

func (d *insideWorkflow) FromPayloads(payloads *commonpb.Payloads, values ...any) error {
	return panicIfUnreadable(d.DataConverter.FromPayloads(payloads, values...))
}

func panicIfUnreadable(err error) error {
	if unreadable := (*UnreadableError)(nil); errors.As(err, &unreadable) {
		panic(err)
	}
	return err
}

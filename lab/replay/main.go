// Command replay replays every history of the box office that a Temporal server has with
// today's workflow code. The fault tests run it once everything is at rest: whatever a
// run did to the stack, the code must do again what was recorded. It only reads, and
// finds the server and the payload keys like the box office: TEMPORAL_ADDRESS,
// TEMPORAL_NAMESPACE, BOXOFFICE_PAYLOAD_KEYS.
//
//	go -C lab run ./replay -failed folder
//
// If a history does not replay, it exits with 1, names the workflow, and leaves the
// history in the folder as JSON, still encrypted as on the server.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"boxoffice/codec"
	"boxoffice/worker"
	"boxoffice/workflows/replay"
)

// Bounds of a run.
const (
	timeout      = 5 * time.Minute
	historiesMax = 5000 // the newest ones if there are more
	pageLen      = 500
	parallel     = 4 // histories read and replayed at once
)

func main() {
	folder := flag.String("failed", ".", "folder for histories that do not replay")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := run(ctx, *folder, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "replay: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, folder string, out io.Writer) error {
	payloads, err := codec.Parse(os.Getenv("BOXOFFICE_PAYLOAD_KEYS"))
	if err != nil {
		return fmt.Errorf("BOXOFFICE_PAYLOAD_KEYS: %w", err)
	}
	namespace := cmp.Or(os.Getenv("TEMPORAL_NAMESPACE"), client.DefaultNamespace)
	temporal, err := worker.Dial(ctx, cmp.Or(os.Getenv("TEMPORAL_ADDRESS"), client.DefaultHostPort), namespace, payloads, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer temporal.Close()
	executions, err := list(ctx, temporal, namespace)
	if err != nil {
		return err
	}
	if len(executions) == 0 {
		return fmt.Errorf("namespace %q has no workflow of the box office: there is nothing to replay", namespace)
	}
	r := replayed{folder: folder, payloads: payloads.DataConverter()}
	err = r.all(ctx, temporal, executions)
	fmt.Fprintf(out, "%d histories with %d events replayed, whole and from every beginning; %d do not replay\n", r.histories, r.events, len(r.broken))
	return errors.Join(append(r.broken, err)...)
}

// list names the runs of the workflows that the replayer has, open or closed.
func list(ctx context.Context, temporal client.Client, namespace string) (found []*commonpb.WorkflowExecution, err error) {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: namespace, PageSize: pageLen,
		Query: fmt.Sprintf("WorkflowType IN ('%s')", strings.Join(replay.Types, "', '")),
	}
	for len(found) < historiesMax {
		page, err := temporal.ListWorkflow(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list the workflows: %w", err)
		}
		for _, info := range page.GetExecutions() {
			found = append(found, info.GetExecution())
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			break
		}
	}
	return found[:min(len(found), historiesMax)], nil
}

// replayed is the result.
type replayed struct {
	folder   string
	payloads converter.DataConverter

	mu                sync.Mutex
	histories, events int
	broken            []error
}

// all replays the listed histories. The error is about reading or saving; histories
// that do not replay are in r.broken.
func (r *replayed) all(ctx context.Context, temporal client.Client, executions []*commonpb.WorkflowExecution) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, execution := range executions {
		group.Go(func() error {
			history, err := read(ctx, temporal, execution)
			if err != nil {
				return fmt.Errorf("history of %s: %w", execution.GetWorkflowId(), err)
			}
			return r.one(execution, history)
		})
	}
	return group.Wait()
}

func read(ctx context.Context, temporal client.Client, execution *commonpb.WorkflowExecution) (*historypb.History, error) {
	history := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, execution.GetWorkflowId(), execution.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
}

func (r *replayed) one(execution *commonpb.WorkflowExecution, history *historypb.History) error {
	err := replay.History(history, workflow.Execution{ID: execution.GetWorkflowId(), RunID: execution.GetRunId()}, r.payloads)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.histories++
	r.events += len(history.GetEvents())
	if err == nil {
		return nil
	}
	file := filepath.Join(r.folder, "history-"+strings.ReplaceAll(execution.GetWorkflowId(), "/", "-")+"-"+execution.GetRunId()+".json")
	r.broken = append(r.broken, fmt.Errorf("%s (run %s) does not replay, its history is %s: %w", execution.GetWorkflowId(), execution.GetRunId(), file, err))
	content, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}

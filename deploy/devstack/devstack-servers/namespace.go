package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// retention is how long a closed checkout can be looked up. After that only the
	// orders database knows it.
	retention = 3 * 24 * time.Hour
	// startTimeout limits how long the server's own services may take to find each other.
	startTimeout = 60 * time.Second
	probeEvery   = 50 * time.Millisecond
)

// ensureNamespace returns once the namespace exists and a history shard answers for it.
// From then on workflows can start.
func ensureNamespace(address, namespace string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := workflowservice.NewWorkflowServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err = retry(ctx, func() error { return register(ctx, client, namespace) })
	if err == nil {
		err = retry(ctx, func() error { return probe(ctx, client, namespace) })
	}
	if err != nil {
		return fmt.Errorf("namespace %s: %w", namespace, err)
	}
	return nil
}

// cellNamespaces are the namespaces in TEMPORAL_CELLS (name=namespace or name=host:port/namespace, separated by commas). The
// box office says what is wrong with it.
func cellNamespaces(cells string) (namespaces []string) {
	for cell := range strings.SplitSeq(cells, ",") {
		if _, where, found := strings.Cut(strings.TrimSpace(cell), "="); found {
			namespaces = append(namespaces, where[strings.LastIndex(where, "/")+1:])
		}
	}
	return namespaces
}

func register(ctx context.Context, client workflowservice.WorkflowServiceClient, namespace string) error {
	_, err := client.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        namespace,
		Description:                      "the box office's local stack",
		WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if errors.As(serviceerror.FromStatus(status.Convert(err)), &exists) {
		return nil
	}
	return err
}

// probe asks for a workflow that does not exist. Only a history shard can say that.
func probe(ctx context.Context, client workflowservice.WorkflowServiceClient, namespace string) error {
	_, err := client.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: namespace,
		Execution: &common.WorkflowExecution{WorkflowId: "devstack-probe"},
	})
	var noNamespace *serviceerror.NamespaceNotFound
	if status.Code(err) == codes.NotFound && !errors.As(serviceerror.FromStatus(status.Convert(err)), &noNamespace) {
		return nil
	}
	if err == nil {
		return nil
	}
	return err
}

// retry repeats work until it succeeds or ctx ends. Then it returns the last failure,
// which names the cause.
func retry(ctx context.Context, work func() error) error {
	for {
		err := work()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(probeEvery):
		}
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"boxoffice/lab/bench/probe"
)

// A Node is one more process of the box office on the same stack.
type Node struct {
	URL, AdminURL string
	PID           int
	// Stop ends it. An error says that it had already ended by itself, or did not end. Then
	// measurements with it are worthless.
	Stop func() error
}

// ledgerEmbedded is what /metrics calls the ledger that one process has to itself.
const ledgerEmbedded = "embedded"

// nodeCounts are the loads that each load is measured with; 0: however many run.
func (b *bench) nodeCounts() []int {
	if len(b.Nodes) == 0 {
		return []int{0}
	}
	return b.Nodes
}

// checkNodes says before anything is measured that nodes cannot share the ledger.
func (b *bench) checkNodes() error {
	if slices.Max(b.nodeCounts()) > 1 && b.result.Ledger == ledgerEmbedded {
		return errors.New("several nodes need a ledger that they can share: the embedded one is in the first node's process (LEDGER=tigerbeetle or LEDGER=postgres)")
	}
	return nil
}

// useNodes starts or stops nodes until this many serve. An idle node would still take part,
// because it polls for the others' work.
func (b *bench) useNodes(ctx context.Context, serving int) error {
	err := b.stopNodes(max(serving, 1))
	for err == nil && 1+len(b.nodes) < serving {
		err = b.startNode(ctx)
	}
	return err
}

func (b *bench) startNode(ctx context.Context) error {
	number := len(b.nodes) + 2 // the first one is the stack's
	node, err := b.StartNode(ctx)
	if err != nil {
		return fmt.Errorf("start node %d: %w", number, err)
	}
	b.nodes = append(b.nodes, node)
	b.caller.fronts = append(b.caller.fronts, node.URL)
	b.pids[nodeName(number)] = node.PID
	return nil
}

func nodeName(number int) string { return fmt.Sprintf("%s-%d", probe.BoxOffice, number) }

// stopNodes stops the nodes that were started last, until this many serve.
func (b *bench) stopNodes(serving int) error {
	var failed []error
	for number := 1 + len(b.nodes); number > serving; number-- {
		last := len(b.nodes) - 1
		if err := b.nodes[last].Stop(); err != nil {
			failed = append(failed, fmt.Errorf("stop node %d: %w", number, err))
		}
		delete(b.pids, nodeName(number))
		b.nodes, b.caller.fronts = b.nodes[:last], b.caller.fronts[:last+1]
	}
	return errors.Join(failed...)
}

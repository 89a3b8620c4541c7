package bench

import (
	"context"
	"errors"
	"fmt"
)

// A Node is one more process of the box office on the same stack.
type Node struct {
	URL, AdminURL string
	PID           int
	Stop          func() error
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

// useNodes starts or stops nodes until so many serve. One that only stood by
// would take part all the same: it polls for the others' work.
func (b *bench) useNodes(ctx context.Context, serving int) error {
	if serving > 1 && b.result.Ledger == ledgerEmbedded {
		return errors.New("several nodes need a ledger that they can share: the embedded one is in the first node's process (LEDGER=tigerbeetle or LEDGER=postgres)")
	}
	for len(b.nodes) > max(serving, 1)-1 {
		if err := b.stopNode(); err != nil {
			return err
		}
	}
	for len(b.nodes) < serving-1 {
		node, err := b.StartNode(ctx)
		if err != nil {
			return fmt.Errorf("start node %d: %w", len(b.nodes)+2, err)
		}
		b.nodes = append(b.nodes, node)
		b.caller.fronts = append(b.caller.fronts, node.URL)
		b.pids[nodeName(len(b.nodes))] = node.PID
	}
	return nil
}

func nodeName(n int) string { return fmt.Sprintf("boxoffice-%d", n+1) }

// stopNode stops the node that was started last.
func (b *bench) stopNode() error {
	last := len(b.nodes) - 1
	delete(b.pids, nodeName(last+1))
	node := b.nodes[last]
	b.nodes, b.caller.fronts = b.nodes[:last], b.caller.fronts[:last+1]
	if err := node.Stop(); err != nil {
		return fmt.Errorf("stop node %d: %w", last+2, err)
	}
	return nil
}

func (b *bench) stopNodes() {
	for len(b.nodes) > 0 {
		if err := b.stopNode(); err != nil {
			b.note(err.Error())
		}
	}
}

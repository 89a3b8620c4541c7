package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"

	"boxoffice/client"
	"boxoffice/lab/bench/probe"
	"boxoffice/worker"
	"boxoffice/workflows"
)

// release is a node with a version.
func (s *stack) release(t *testing.T, deployment, build string) *node {
	t.Helper()
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	return s.startNodeOf(t, "", filepath.Join(bin, s.program()), "TEMPORAL_DEPLOYMENT_NAME="+deployment, "TEMPORAL_WORKER_BUILD_ID="+build)
}

// current is the version that Temporal gives new checkouts to.
func (s *stack) current(t *testing.T) string {
	t.Helper()
	found, err := s.temporal.DescribeTaskQueue(t.Context(), workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		t.Fatal(err)
	}
	return found.GetVersioningInfo().GetCurrentDeploymentVersion().GetBuildId()
}

func (s *stack) awaitCurrent(t *testing.T, build string) {
	t.Helper()
	eventually(t, "new checkouts go to version "+build, func() bool { return s.current(t) == build })
}

// pinnedTo waits for a checkout's first task, and returns the version that it stays on.
func (s *stack) pinnedTo(t *testing.T, o order) (build string) {
	t.Helper()
	eventually(t, "the first task of "+o.Order+" is done", func() bool {
		for _, event := range s.history(t, "checkout/"+o.Order).Events {
			if done := event.GetWorkflowTaskCompletedEventAttributes(); done != nil {
				build = done.GetDeploymentVersion().GetBuildId()
				return true
			}
		}
		return false
	})
	return build
}

// mustBeRunBy requires that one version did all tasks of a checkout.
func (s *stack) mustBeRunBy(t *testing.T, o order, build string) {
	t.Helper()
	for _, event := range s.history(t, "checkout/"+o.Order).Events {
		if done := event.GetWorkflowTaskCompletedEventAttributes(); done != nil && done.GetDeploymentVersion().GetBuildId() != build {
			t.Errorf("event %d of %s is of version %q, want %q", event.GetEventId(), o.Order, done.GetDeploymentVersion().GetBuildId(), build)
		}
	}
}

// awaitHeld repeats a key until it is held, as a client does whom no answer reaches in time.
func (s *stack) awaitHeld(t *testing.T, n *node, sale string) (o order) {
	t.Helper()
	key, buyer := newKey(), newBuyer()
	eventually(t, "a buyer holds a seat", func() bool {
		a := asked(t, func(ctx context.Context) error {
			_, err := s.at(n.url).CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: key}, checkoutBody(items{"A": 1}, buyer))
			return err
		})
		if a.status == http.StatusCreated || a.status == http.StatusOK {
			a.into(t, &o)
			return true
		}
		if a.status < http.StatusInternalServerError && a.status != http.StatusConflict {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return false
	})
	return o
}

func (s *stack) buy(t *testing.T, o order) {
	t.Helper()
	s.pay(t, o, "succeeded")
	if paid := s.awaitStatus(t, o, "paid"); len(paid.Tickets) != 1 {
		t.Fatalf("%d tickets, want 1", len(paid.Tickets))
	}
}

// Two releases beside each other, from nodes without a version and back to them: each checkout ends on the version that began
// it, and new ones go where the operator says.
func testVersions(t *testing.T, s *stack) {
	const first, second = "1.0.0", "2.0.0"
	sale := s.sale(t, 100, longHold, 5)
	deployment := "e2e-" + strings.TrimPrefix(sale, "e2e-")
	s.env["TEMPORAL_DEPLOYMENT_NAME"], s.env["TEMPORAL_WORKER_BUILD_ID"] = deployment, second
	defer func() {
		delete(s.env, "TEMPORAL_DEPLOYMENT_NAME")
		delete(s.env, "TEMPORAL_WORKER_BUILD_ID")
	}()

	// On: the stack's own node has no version.
	own := &node{url: s.env["BOXOFFICE_URL"]}
	unversioned := s.awaitHeld(t, own, sale)
	if got := s.pinnedTo(t, unversioned); got != "" {
		t.Fatalf("a node without a version runs version %q", got)
	}
	one := s.release(t, deployment, first)
	s.awaitCurrent(t, first) // by itself: it is the first
	s.buy(t, unversioned)

	// Upgrade: nothing moves before the operator says so, wherever buyers come in.
	two := s.release(t, deployment, second)
	begun := s.awaitHeld(t, one, sale)
	cameInAtTwo := s.awaitHeld(t, two, sale)
	for _, o := range []order{begun, cameInAtTwo} {
		if got := s.pinnedTo(t, o); got != first {
			t.Fatalf("%s is on version %q before the operator said so, want %q", o.Order, got, first)
		}
	}
	s.exits(t, 0, "deployment", "set-current", "--wait", "1m") // its own: the second
	s.awaitCurrent(t, second)
	next := s.awaitHeld(t, two, sale)
	if got := s.pinnedTo(t, next); got != second {
		t.Fatalf("a new checkout is on version %q, want %q", got, second)
	}
	var handedOn order
	eventually(t, "a node of the old release hands new checkouts on", func() bool {
		handedOn = s.awaitHeld(t, one, sale)
		if s.pinnedTo(t, handedOn) == second {
			return true
		}
		s.buy(t, handedOn) // it did not know yet
		return false
	})
	s.exits(t, 1, "deployment", "drained", first)
	s.buy(t, begun)
	s.buy(t, cameInAtTwo)
	s.mustBeRunBy(t, begun, first)
	s.mustBeRunBy(t, cameInAtTwo, first)
	s.cheap(t, two, sale)

	// Roll back: what the second has begun stays there.
	s.exits(t, 0, "deployment", "set-current", first)
	s.awaitCurrent(t, first)
	rolledBack := s.awaitHeld(t, one, sale)
	if got := s.pinnedTo(t, rolledBack); got != first {
		t.Fatalf("after the rollback a new checkout is on version %q, want %q", got, first)
	}
	s.buy(t, next)
	s.mustBeRunBy(t, next, second)

	// The second dies with a checkout open, and does not come back.
	orphaned := s.orphan(t, two, sale, second)
	two.kill()
	var status worker.DeploymentStatus
	eventually(t, "the list of what is open has it", func() bool {
		if err := json.Unmarshal([]byte(s.exits(t, 0, "deployment", "show", "--json")), &status); err != nil {
			t.Fatal(err)
		}
		for _, v := range status.Versions {
			if v.BuildID == second {
				return v.Open > 0
			}
		}
		return false
	})
	if status.Current != first {
		t.Errorf("show says that %q is current, want %q", status.Current, first)
	}
	s.exits(t, 0, "deployment", "take-over", second)
	s.buy(t, orphaned)

	// Off again.
	s.exits(t, 0, "deployment", "set-current", "--unversioned")
	s.awaitCurrent(t, "")
	s.buy(t, s.awaitHeld(t, own, sale))
	s.buy(t, handedOn) // taken over too, and again
	s.buy(t, rolledBack)
	s.mustBeRunBy(t, rolledBack, first)
	s.exits(t, 0, "deployment", "drained", first, "--wait", "1m")
	one.stop(t)
}

// cheap requires that a version costs Temporal nothing more. On a slow machine a checkout may take another transition, so one
// of some is enough: a shape that is always dearer has none.
func (s *stack) cheap(t *testing.T, n *node, sale string) {
	t.Helper()
	var seen []probe.Workflow
	for range 10 {
		o := s.awaitHeld(t, n, sale)
		s.buy(t, o)
		s.awaitClosed(t, "checkout/"+o.Order)
		w, err := probe.DescribeWorkflow(t.Context(), s.temporal, "checkout/"+o.Order)
		if err != nil {
			t.Fatal(err)
		}
		if w.StateTransitions == transitionsOfPaid && w.HistoryEvents == eventsOfPaid {
			return
		}
		seen = append(seen, w)
	}
	t.Errorf("no checkout took %d transitions and %d events: %v", transitionsOfPaid, eventsOfPaid, seen)
}

// orphan is a checkout on a version that is not current: as its node began some just before it knew.
func (s *stack) orphan(t *testing.T, n *node, sale, build string) order {
	t.Helper()
	s.exits(t, 0, "deployment", "set-current", build)
	s.awaitCurrent(t, build)
	o := s.awaitHeld(t, n, sale)
	if got := s.pinnedTo(t, o); got != build {
		t.Fatalf("%s is on version %q, want %q", o.Order, got, build)
	}
	s.exits(t, 0, "deployment", "set-current", "1.0.0")
	s.awaitCurrent(t, "1.0.0")
	return o
}

// stop asks the node to end, and waits for it.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.process.Wait(); err != nil {
		t.Errorf("the node at %s did not stop in order: %v", n.url, err)
	}
}

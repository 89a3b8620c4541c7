package api

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// waitFor fails the test when a condition does not come true in time.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true within 5 s")
		}
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	var operations []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			operations = append(operations, op)
		}
	}
	return operations
}

package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"boxoffice/deploy/devstack/internal/datadir"
	"boxoffice/deploy/devstack/internal/supervise"
)

// State of the whole stack.
type State string

// The states, in the order of a life.
const (
	StateStarting State = "starting"
	StateReady    State = "ready"
	StateStopping State = "stopping"
	StateStopped  State = "stopped"
	StateFailed   State = "failed"
)

// Status is the content of stack.json in the data directory: what runs where, for
// programs. Every change replaces it in one step. After the stop it stays, with the last
// state.
type Status struct {
	State     State     `json:"state"`
	PID       int       `json:"pid"` // of the supervisor
	StartedAt time.Time `json:"started_at"`
	Error     string    `json:"error,omitempty"` // why it failed
	EnvFile   string    `json:"env_file"`
	Ledger    string    `json:"ledger"`   // own, or which server
	Database  string    `json:"database"` // own, or which server
	// Variables are the addresses of dev.env, without its secrets.
	Variables map[string]string `json:"variables"`
	// Processes are those that the stack runs itself, in start order.
	Processes []supervise.Status `json:"processes"`
}

// StatusFile returns the path of a data directory's stack.json.
func StatusFile(dataDir string) string { return filepath.Join(dataDir, "stack.json") }

// ReadStatus reads the stack.json of a data directory.
func ReadStatus(dataDir string) (Status, error) {
	var s Status
	raw, err := os.ReadFile(StatusFile(dataDir))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s: %w", StatusFile(dataDir), err)
	}
	return s, nil
}

// board keeps stack.json up to date.
type board struct {
	mu     sync.Mutex
	path   string
	status Status
	group  *supervise.Group
}

// newBoard is of a stack that starts now.
func newBoard(dataDir string) *board {
	b := &board{path: StatusFile(dataDir), status: Status{
		State: StateStarting, PID: os.Getpid(), StartedAt: time.Now().UTC().Truncate(time.Millisecond),
		Variables: map[string]string{}, Processes: []supervise.Status{},
	}}
	b.update(func(*Status) {})
	return b
}

func failedWith(err error) func(*Status) {
	return func(s *Status) { s.State, s.Error = StateFailed, err.Error() }
}

// update changes the status and writes it. A failed write must not stop a sale; the next
// change tries again.
func (b *board) update(change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
	if b.group != nil {
		b.status.Processes = b.group.Status()
	}
	raw, err := json.MarshalIndent(b.status, "", "  ")
	if err != nil {
		return
	}
	_ = datadir.WriteFile(b.path, append(raw, '\n'), 0o644)
}

package probe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Stack is what the local stack says of itself in stack.json.
type Stack struct {
	State     string            `json:"state"`
	PID       int               `json:"pid"` // of the supervisor
	Ledger    string            `json:"ledger"`
	Variables map[string]string `json:"variables"`
	Processes []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	} `json:"processes"`
}

// ReadStack reads the stack.json of a data directory, if it is of the stack that
// serves url and that stack runs.
func ReadStack(dataDir, url string) (Stack, error) {
	var s Stack
	path := filepath.Join(dataDir, "stack.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("no local stack: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if served := s.Variables["BOXOFFICE_URL"]; s.State != "ready" || served != url {
		return s, fmt.Errorf("%s is of a stack that is %s and serves %s, not of %s", path, s.State, served, url)
	}
	return s, nil
}

// PIDs are the stack's processes by name.
func (s Stack) PIDs() map[string]int {
	pids := map[string]int{}
	for _, p := range s.Processes {
		if p.PID > 0 {
			pids[p.Name] = p.PID
		}
	}
	return pids
}

package embedded

import "boxoffice/ledger/embedded/internal/machine"

// Waiting is the number of requests in the queue.
func Waiting(e *Engine) int { return len(e.calls) }

// StepRows makes queries go on in steps of so many records.
func StepRows(e *Engine, count int) error {
	return change(e, func(*machine.Machine) { e.runner.scanRows = count })
}

// LimitRows makes room for so many accounts, transfers and burnt ids.
func LimitRows(e *Engine, count uint32) error {
	return change(e, func(m *machine.Machine) { m.LimitRows(count) })
}

// change runs in the goroutine that owns the ledger.
func change(e *Engine, what func(*machine.Machine)) error {
	_, err := ask(e, func(m *machine.Machine, _ struct{}) []struct{} {
		what(m)
		return nil
	}, struct{}{}, 0, 0)
	return err
}

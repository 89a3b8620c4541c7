package pgpipe_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"
	"go.temporal.io/server/common/persistence/tests"

	"boxoffice/deploy/pgpipe"
)

// Temporal's own suites of the stores that this package wraps: on the official store, on this one, and on this one switched off.
func TestTemporalsOwnSuites(t *testing.T) {
	for _, way := range []struct {
		name    string
		options *pgpipe.Options
		fast    bool
	}{
		{"official", nil, false},
		{"pipelined", &pgpipe.Options{}, true},
		{"switched off", &pgpipe.Options{Off: true}, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Run("shards", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewShardSuite(t, s.shards, serializer, quiet))
			})
			t.Run("history", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewHistoryEventsSuite(t, s.executions, quiet))
			})
			t.Run("mutable state", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewExecutionMutableStateSuite(t, s.shards, s.executions, serializer, quiet))
				counted := s.stats.Snapshot()
				t.Logf("requests: %v", counted)
				for _, operation := range []string{"create fast", "update fast", "load fast"} {
					require.Equal(t, way.fast, counted[operation] > 0, operation)
				}
			})
			t.Run("tasks of a state", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewExecutionMutableStateTaskSuite(t, s.shards, s.executions, serializer, quiet))
			})
		})
	}
}

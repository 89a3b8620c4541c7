package pgpipe

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/schema/postgresql/v12"
)

// Read the types that changed, and what the official store does with the new fields, before you change these constants.
func TestThisStoreWasWrittenAgainstThisServer(t *testing.T) {
	require.Equal(t, serverRelease, headers.ServerVersion)
	require.Equal(t, schemaVersion, v12.Version)
	require.Equal(t, requestTypes, fingerprint(written...))
}

func TestTheFingerprintKnowsEveryFieldOfARequest(t *testing.T) {
	type other struct {
		persistence.InternalHistoryNode
	}
	require.NotEqual(t, fingerprint(persistence.InternalHistoryNode{}), fingerprint(persistence.InternalHistoryTask{}))
	require.NotEqual(t, fingerprint(persistence.InternalWorkflowSnapshot{}), fingerprint(persistence.InternalWorkflowMutation{}))
	require.Equal(t, fingerprint(), fingerprint(other{}), "types of others are not followed")
}

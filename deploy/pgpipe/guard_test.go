package pgpipe

import (
	"testing"

	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/schema/postgresql/v12"
)

// Read the types that changed, and what the official store does with the new fields, before you change these constants.
func TestThisStoreWasWrittenAgainstThisServer(t *testing.T) {
	if headers.ServerVersion != serverRelease {
		t.Fatalf("headers.ServerVersion is %q, want %q", headers.ServerVersion, serverRelease)
	}
	if v12.Version != schemaVersion {
		t.Fatalf("v12.Version is %q, want %q", v12.Version, schemaVersion)
	}
	if got := fingerprint(written...); got != requestTypes {
		t.Fatalf("fingerprint(written...) is %q, want %q", got, requestTypes)
	}
}

func TestTheFingerprintKnowsEveryFieldOfARequest(t *testing.T) {
	type other struct {
		persistence.InternalHistoryNode
	}
	if got, want := fingerprint(persistence.InternalHistoryTask{}), fingerprint(persistence.InternalHistoryNode{}); got == want {
		t.Fatalf("fingerprint(persistence.InternalHistoryTask{}) is %q", got)
	}
	if got, want := fingerprint(persistence.InternalWorkflowMutation{}), fingerprint(persistence.InternalWorkflowSnapshot{}); got == want {
		t.Fatalf("fingerprint(persistence.InternalWorkflowMutation{}) is %q", got)
	}
	if got, want := fingerprint(other{}), fingerprint(); got != want {
		t.Fatalf("fingerprint(other{}) is %q, want %q: types of others are not followed", got, want)
	}
}

package pgpipe

import (
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"

	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence"
)

// What this package was written for. Another release may ask for something in a field
// that is not read here, so anything else turns the fast way off.
const (
	serverRelease = "1.32.1"
	schemaVersion = "1.19"
	requestTypes  = "d825e7d4"
)

// written are the types whose every field this package either writes, or leaves to the
// official store for a reason.
var written = []any{
	persistence.InternalCreateWorkflowExecutionRequest{},
	persistence.InternalUpdateWorkflowExecutionRequest{},
	persistence.GetWorkflowExecutionRequest{},
	persistence.InternalWorkflowMutableState{},
}

// fingerprint names the request types as they are in this build.
func fingerprint(types ...any) string {
	var text strings.Builder
	seen := map[reflect.Type]bool{}
	for _, t := range types {
		describe(&text, reflect.TypeOf(t), seen)
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text.String())))[:8]
}

// describe writes a type and those of its fields that the persistence package defines.
func describe(text *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	own := reflect.TypeFor[persistence.InternalHistoryNode]().PkgPath()
	if t.Kind() != reflect.Struct || t.PkgPath() != own || seen[t] {
		return
	}
	seen[t] = true
	for field := range t.Fields() {
		fmt.Fprintf(text, "%s.%s %s\n", t.Name(), field.Name, field.Type)
	}
	for field := range t.Fields() {
		describe(text, field.Type, seen)
	}
}

// check says why the fast way may not be used, or returns nothing.
func (c *connections) check(ctx context.Context, database string) (reason string) {
	if headers.ServerVersion != serverRelease {
		return fmt.Sprintf("the server is release %s, and this store was written against %s", headers.ServerVersion, serverRelease)
	}
	if now := fingerprint(written...); now != requestTypes {
		return fmt.Sprintf("the server's request types have changed (%s, not %s)", now, requestTypes)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var version string
	const current = `SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = $1`
	if err := c.db.QueryRowContext(ctx, current, database).Scan(&version); err != nil {
		return fmt.Sprintf("the schema's version cannot be read: %v", err)
	}
	if version != schemaVersion {
		return fmt.Sprintf("the schema is version %s, and this store was written against %s", version, schemaVersion)
	}
	return ""
}

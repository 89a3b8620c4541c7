package domain_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
)

func TestEveryEventTypeHasItsTerms(t *testing.T) {
	var listed []string
	for _, kind := range domain.EventTypes() {
		listed = append(listed, string(kind))
		terms := kind.Terms()
		require.Positive(t, terms.Schema, kind)
		require.NotEmpty(t, terms.Says, kind)
		require.Contains(t, constants(t, "event.go", "SubjectKind"), string(terms.Subject), kind)
	}
	require.ElementsMatch(t, constants(t, "event.go", "EventType"), listed, "domain/event.go: events has a row for every EventType")
	require.True(t, domain.IsUnknown(domain.EventType("order.lost").Check()))
	require.Panics(t, func() { domain.EventType("order.lost").Terms() })
}

// docs/events.md has each type, what it says, and an example that is all of its payload.
func TestTheCatalogueIsTheTable(t *testing.T) {
	raw, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	doc := string(raw)
	for _, kind := range domain.EventTypes() {
		t.Run(string(kind), func(t *testing.T) {
			_, section, found := strings.Cut(doc, "\n### "+string(kind)+"\n\n"+kind.Terms().Says+"\n\n```json\n")
			require.True(t, found, "docs/events.md has no section %s that says: %s", kind, kind.Terms().Says)
			example, _, _ := strings.Cut(section, "\n```")
			event := domain.Event{Type: kind, Schema: kind.Terms().Schema, Payload: json.RawMessage(example)}
			data, err := event.Data()
			require.NoError(t, err)
			require.Equal(t, kind, data.Type())
			strict := json.NewDecoder(bytes.NewReader(event.Payload))
			strict.DisallowUnknownFields()
			require.NoError(t, strict.Decode(data))
			again, err := json.Marshal(data)
			require.NoError(t, err)
			var want, got map[string]any
			require.NoError(t, json.Unmarshal(event.Payload, &want))
			require.NoError(t, json.Unmarshal(again, &got))
			for field := range got {
				require.Contains(t, want, field)
			}
		})
	}
	require.Equal(t, len(domain.EventTypes()), strings.Count(doc, "\n### "), "a section for each type and no other")
}

func TestEventIDs(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := domain.NewEventID(at, 0xdeadbeef, 42)
	require.Equal(t, at, id.At())
	require.EqualValues(t, 42, id.Row())
	again, err := domain.ParseEventID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.Less(t, id.String(), domain.NewEventID(at.Add(time.Millisecond), 0, 1).String(), "ids sort by time")
	require.Less(t, id.String(), domain.NewEventID(at, 0xdeadbeef, 43).String())
	require.NotEqual(t, id, domain.NewEventID(at, 0xdeadbeee, 42), "two installations")
	for _, text := range []string{"", "evt_", "evt_1", strings.ToUpper(id.String()), strings.TrimPrefix(id.String(), "evt_"), id.String() + "0"} {
		_, err := domain.ParseEventID(text)
		require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), text)
	}
}

// What another release wrote is an error, not a guess.
func TestAnEventOfAnotherReleaseIsUnknown(t *testing.T) {
	for name, event := range map[string]domain.Event{
		"a type":          {Type: "ticket.scanned", Schema: 1, Payload: json.RawMessage(`{}`)},
		"a newer payload": {Type: domain.EventSaleOpened, Schema: 2, Payload: json.RawMessage(`{}`)},
	} {
		_, err := event.Data()
		require.True(t, domain.IsUnknown(err), name)
	}
	_, err := (&domain.Event{Type: domain.EventSaleOpened, Schema: 1, Payload: json.RawMessage(`[]`)}).Data()
	require.Equal(t, domain.CodeInternal, domain.CodeOf(err))
}

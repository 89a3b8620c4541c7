package domain_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestEveryEventTypeHasItsTerms(t *testing.T) {
	var listed []string
	for _, kind := range domain.EventTypes() {
		listed = append(listed, string(kind))
		terms := kind.Terms()
		if terms.Schema <= 0 {
			t.Fatalf("terms.Schema is %v, want more than 0: %v", terms.Schema, kind)
		}
		if terms.Says == "" {
			t.Fatalf("terms.Says is empty: %v", kind)
		}
		if got := constants(t, "event.go", "SubjectKind"); !slices.Contains(got, string(terms.Subject)) {
			t.Fatalf("no %q in %q: %v", string(terms.Subject), got, kind)
		}
	}
	declared := constants(t, "event.go", "EventType")
	slices.Sort(declared)
	slices.Sort(listed)
	if !slices.Equal(declared, listed) {
		t.Fatalf("events has %q, declared are %q: domain/event.go: events has a row for every EventType", listed, declared)
	}
	if !domain.IsUnknown(domain.EventType("order.lost").Check()) {
		t.Fatal(`want true: domain.IsUnknown(domain.EventType("order.lost").Check())`)
	}
	if !panics(func() { domain.EventType("order.lost").Terms() }) {
		t.Fatal("no panic, but order.lost is no event type")
	}
}

// docs/events.md has each type, its sentence, and an example with every field of its payload.
func TestTheCatalogueIsTheTable(t *testing.T) {
	raw, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	for _, kind := range domain.EventTypes() {
		t.Run(string(kind), func(t *testing.T) {
			_, section, found := strings.Cut(doc, "\n### "+string(kind)+"\n\n"+kind.Terms().Says+"\n\n```json\n")
			if !found {
				t.Fatalf("docs/events.md has no section %s that says: %s", kind, kind.Terms().Says)
			}
			example, _, _ := strings.Cut(section, "\n```")
			event := domain.Event{Type: kind, Schema: kind.Terms().Schema, Payload: json.RawMessage(example)}
			data, err := event.Data()
			if err != nil {
				t.Fatal(err)
			}
			if got := data.Type(); got != kind {
				t.Fatalf("data.Type() is %q, want %q", got, kind)
			}
			strict := json.NewDecoder(bytes.NewReader(event.Payload))
			strict.DisallowUnknownFields()
			if err := strict.Decode(data); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			var want, got map[string]any
			if err := json.Unmarshal(event.Payload, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(again, &got); err != nil {
				t.Fatal(err)
			}
			for field := range got {
				if _, ok := want[field]; !ok {
					t.Fatalf("no %q in %v", field, want)
				}
			}
		})
	}
	if got, want := strings.Count(doc, "\n### "), len(domain.EventTypes()); got != want {
		t.Fatalf("got %v, want %v: a section for each type and no other", got, want)
	}
}

func TestEventIDs(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := domain.NewEventID(at, 0xdeadbeef, 42)
	if got := id.At(); !reflect.DeepEqual(got, at) {
		t.Fatalf("id.At() is %v, want %v", got, at)
	}
	if got := id.Row(); got != 42 {
		t.Fatalf("id.Row() is %v, want 42", got)
	}
	again, err := domain.ParseEventID(id.String())
	if err != nil {
		t.Fatal(err)
	}
	if again != id {
		t.Fatalf("again is %v, want %v", again, id)
	}
	if later := domain.NewEventID(at.Add(time.Millisecond), 0, 1).String(); id.String() >= later {
		t.Fatalf("%s is not before %s: ids sort by time", id, later)
	}
	if next := domain.NewEventID(at, 0xdeadbeef, 43).String(); id.String() >= next {
		t.Fatalf("%s is not before %s: ids sort by row", id, next)
	}
	if got := domain.NewEventID(at, 0xdeadbeee, 42); got == id {
		t.Fatalf("domain.NewEventID(at, 0xdeadbeee, 42) is %v: two installations", got)
	}
	for _, text := range []string{"", "evt_", "evt_1", strings.ToUpper(id.String()), strings.TrimPrefix(id.String(), "evt_"), id.String() + "0"} {
		_, err := domain.ParseEventID(text)
		if got := domain.CodeOf(err); got != domain.CodeInvalid {
			t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, domain.CodeInvalid, text)
		}
	}
}

// A value that another release wrote is an error, not a guess.
func TestAnEventOfAnotherReleaseIsUnknown(t *testing.T) {
	for name, event := range map[string]domain.Event{
		"a type":          {Type: "ticket.scanned", Schema: 1, Payload: json.RawMessage(`{}`)},
		"a newer payload": {Type: domain.EventSaleOpened, Schema: 2, Payload: json.RawMessage(`{}`)},
	} {
		_, err := event.Data()
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", name)
		}
	}
	_, err := (&domain.Event{Type: domain.EventSaleOpened, Schema: 1, Payload: json.RawMessage(`[]`)}).Data()
	if got := domain.CodeOf(err); got != domain.CodeInternal {
		t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeInternal)
	}
}

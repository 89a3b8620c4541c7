package kafka

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

var update = flag.Bool("update", false, "write docs/schemas")

// The published schemas are generated from the structs, so a change of a struct shows here.
func TestSchemasMatchTheStructs(t *testing.T) {
	for _, kind := range domain.EventTypes() {
		terms := kind.Terms()
		e := domain.Event{Type: kind, Schema: terms.Schema, Payload: json.RawMessage("{}")}
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s.%d.json", kind, terms.Schema)
		text := map[string]any{"type": "string"}
		moment := map[string]any{"type": "string", "format": "date-time"}
		want, err := json.MarshalIndent(map[string]any{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "title": string(kind), "description": terms.Says,
			"type": "object", "required": []string{"id", "type", "schema", "occurred_at", "data"},
			"properties": map[string]any{
				"id": map[string]any{"type": "string", "pattern": "^evt_[0-9a-f]{32}$"}, "type": map[string]any{"const": string(kind)},
				"schema": map[string]any{"const": terms.Schema}, "occurred_at": moment, "sale": text, "order": text,
				"data": schemaOf(t, reflect.TypeOf(data).Elem()),
			},
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, '\n')
		file := filepath.Join("../../docs/schemas", name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/schemas/%s is not what domain/event.go says (%v): go test ./notify/kafka -run Schemas -update; a field that goes raises the schema's version", name, err)
		}
	}
}

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

func schemaOf(t *testing.T, of reflect.Type) map[string]any {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case of.Implements(textMarshaler):
		return map[string]any{"type": "string"}
	}
	switch of.Kind() {
	case reflect.Pointer:
		return schemaOf(t, of.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Slice: // nil is null
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t, of.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t, of.Elem())}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		addFields(t, of, properties, &required)
		return map[string]any{"type": "object", "properties": properties, "required": required}
	default:
		t.Fatalf("no schema for %s", of)
		return nil
	}
}

func addFields(t *testing.T, of reflect.Type, properties map[string]any, required *[]string) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			addFields(t, field.Type, properties, required)
			continue
		case name == "-" || !field.IsExported():
			continue
		case name == "":
			name = field.Name
		}
		properties[name] = schemaOf(t, field.Type)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			*required = append(*required, name)
		}
	}
}

// Package generate generates the client from the OpenAPI document, and compares it with the document.
package generate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/format"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boxoffice/api"
	"boxoffice/client"
)

var update = flag.Bool("update", false, "write the client")

const file = "../../generated.go"

// byHand are the operations whose methods are written by hand, because their answers or bodies are not JSON.
var byHand = map[string]string{
	"watch-sale": "WatchSale", "watch-place": "WatchPlace", "get-ticket-qr": "TicketQR", "get-order-calendar": "Calendar", "get-tickets-pdf": "TicketsPDF", "get-sale-image": "SaleImage", "put-sale-image": "PutSaleImage",
	"mockpay-webhook": "DeliverEvent", "provider-webhook": "DeliverEvent", "open-payment": "OpenPayment",
}

func TestHandWrittenMethodsExist(t *testing.T) {
	for operation, method := range byHand {
		if _, ok := reflect.TypeFor[*client.Client]().MethodByName(method); !ok {
			t.Errorf("%s has no method %s in client/byhand.go", operation, method)
		}
	}
}

type (
	schema struct {
		Ref                  string `json:"$ref"`
		Type                 any    `json:"type"`
		Format, Description  string
		Properties           map[string]schema
		Required             []string
		Items                *schema
		AdditionalProperties json.RawMessage
	}
	parameter struct {
		Name, In, Description string
		Required              bool
		Schema                schema
	}
	content  map[string]struct{ Schema schema }
	endpoint struct {
		OperationID, Summary string
		Security             []map[string]any
		Parameters           []parameter
		RequestBody          *struct{ Content content }
		Responses            map[string]struct{ Content content }
	}
	document struct {
		Paths      map[string]map[string]endpoint
		Components struct{ Schemas map[string]schema }
	}
)

// A new operation or member is in the document first. Then this fails, and go generate ./client fixes it.
func TestTheClientMatchesTheDocument(t *testing.T) {
	raw, err := api.Document("")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	want, err := format.Source(doc.source())
	if err != nil {
		t.Fatalf("%v\n%s", err, doc.source())
	}
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	has := map[string]bool{}
	for line := range strings.SplitSeq(string(got), "\n") {
		has[line] = true
	}
	for line := range strings.SplitSeq(string(want), "\n") {
		if !has[line] {
			t.Errorf("generated.go has no line\n%s", line)
		}
	}
	t.Error("client/generated.go does not match the OpenAPI document: run go generate ./client")
}

func (d *document) source() []byte {
	var b bytes.Buffer
	b.WriteString("// Code generated from the OpenAPI document by go generate ./client. DO NOT EDIT.\n\npackage client\n\nimport (\n\t\"context\"\n\t\"net/http\"\n\t\"net/url\"\n\t\"time\"\n)\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		d.writeType(&b, name, d.Components.Schemas[name])
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			if op := d.Paths[path][method]; byHand[op.OperationID] == "" {
				d.writeMethod(&b, strings.ToUpper(method), path, op)
			}
		}
	}
	return b.Bytes()
}

func (d *document) writeType(b *bytes.Buffer, name string, s schema) {
	fmt.Fprintf(b, "\n// %s is a schema of the document.\ntype %s struct {\n", name, name)
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[member]
		if p.Description != "" {
			fmt.Fprintf(b, "\t// %s\n", strings.ReplaceAll(p.Description, "\n", " "))
		}
		goType, tag := d.goType(p), member
		if !slices.Contains(s.Required, member) {
			tag += ",omitempty"
			if goType != "string" && goType != "any" && !strings.HasPrefix(goType, "[]") && !strings.HasPrefix(goType, "map") {
				goType = "*" + goType
			}
		}
		fmt.Fprintf(b, "\t%s %s `json:%q`\n", exported(member), goType, tag)
	}
	b.WriteString("}\n")
}

func (d *document) goType(s schema) string {
	if s.Ref != "" {
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	}
	kind, _ := s.Type.(string)
	if several, ok := s.Type.([]any); ok { // or null
		kind, _ = several[0].(string)
	}
	switch {
	case kind == "string" && s.Format == "date-time":
		return "time.Time"
	case kind == "array":
		return "[]" + d.goType(*s.Items)
	case kind == "object" && len(s.AdditionalProperties) > 0 && s.AdditionalProperties[0] == '{':
		var value schema
		_ = json.Unmarshal(s.AdditionalProperties, &value)
		return "map[string]" + d.goType(value)
	default:
		return cmp.Or(map[string]string{"string": "string", "integer": "int64", "number": "float64", "boolean": "bool"}[kind], "any")
	}
}

func (d *document) writeMethod(b *bytes.Buffer, method, path string, op endpoint) {
	name := exported(op.OperationID)
	arguments, route := []string{"ctx context.Context"}, fmt.Sprintf("%q", path)
	fields := []string{fmt.Sprintf("Method: %q", method)}
	var sets, members []string
	for _, p := range op.Parameters {
		argument := unexported(p.Name)
		switch {
		case p.Name == "Authorization":
		case p.In == "path":
			arguments = append(arguments, argument+" string")
			route = strings.Replace(route, "{"+p.Name+"}", `" + url.PathEscape(`+argument+`) + "`, 1)
		default:
			goType, value := "string", "params."+exported(p.Name)
			if d.goType(p.Schema) == "int64" {
				goType, value = "int64", "number("+value+")"
			}
			into, key := "Query", p.Name
			if p.In == "header" {
				into, key = "Header", http.CanonicalHeaderKey(p.Name)
			}
			members = append(members, fmt.Sprintf("\t// %s\n\t%s %s", strings.ReplaceAll(cmp.Or(p.Description, p.Name), "\n", " "), exported(p.Name), goType))
			sets = append(sets, fmt.Sprintf("\tset(r.%s, %q, %s)\n", into, key, value))
		}
	}
	for _, needed := range op.Security {
		switch {
		case needed["admin"] != nil:
			fields = append(fields, "IsOrganisers: true")
		case needed["order"] != nil:
			arguments, fields = append(arguments, "token string"), append(fields, "Token: token")
		}
	}
	if len(members) > 0 {
		fmt.Fprintf(b, "\n// %sParams are the query parameters of %s.\ntype %sParams struct {\n%s\n}\n", name, name, name, strings.Join(members, "\n"))
		arguments = append(arguments, "params "+name+"Params")
		fields = append(fields, "Query: url.Values{}", "Header: http.Header{}")
	}
	if op.RequestBody != nil {
		arguments = append(arguments, "body *"+d.goType(op.RequestBody.Content["application/json"].Schema))
		sets = append(sets, "\tif body != nil {\n\t\tr.Body = body\n\t}\n")
	}
	answer := ""
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if body, ok := op.Responses[status].Content["application/json"]; ok && status[0] == '2' && answer == "" {
			answer = d.goType(body.Schema)
		}
	}
	route = strings.TrimSuffix(route, ` + ""`)
	fmt.Fprintf(b, "\n// %s: %s. %s %s\n", name, op.Summary, method, path)
	start := fmt.Sprintf("\tr := Request{Path: %s, %s}\n%s", route, strings.Join(fields, ", "), strings.Join(sets, ""))
	if answer == "" {
		fmt.Fprintf(b, "func (c *Client) %s(%s) error {\n%s\treturn c.Do(ctx, r, nil)\n}\n", name, strings.Join(arguments, ", "), start)
		return
	}
	fmt.Fprintf(b, "func (c *Client) %s(%s) (answer %s, err error) {\n%s\terr = c.Do(ctx, r, &answer)\n\treturn answer, err\n}\n", name, strings.Join(arguments, ", "), answer, start)
}

var initialism = regexp.MustCompile(`^(id|url|qr|http)$`)

// exported turns a name of the document into an exported Go name.
func exported(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == '$' }) {
		word = strings.ToLower(word[:1]) + word[1:]
		if initialism.MatchString(word) {
			b.WriteString(strings.ToUpper(word))
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func unexported(name string) string {
	e := exported(name)
	return strings.ToLower(e[:1]) + e[1:]
}

package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// A testDocument is the part of an OpenAPI document that these tests look at.
type testDocument struct {
	Servers []struct{ URL string }
	Tags    []struct{ Name string }
	Paths   map[string]map[string]struct {
		OperationID, Summary, Description string
		Tags                              []string
		Security                          *[]map[string][]string
		Servers                           []struct{ URL string }
		Parameters                        []struct{ Name, In string }
		Responses                         map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct {
		Schemas         map[string]map[string]any
		SecuritySchemes map[string]any
	}
}

func readDocument(t *testing.T, document []byte) (doc testDocument) {
	t.Helper()
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Some of what Spectral and Redocly check, for machines without Node.
func TestEveryOperationNamesItsSecurityAndServers(t *testing.T) {
	document, err := Document("")
	if err != nil {
		t.Fatal(err)
	}
	doc := readDocument(t, document)
	if len(doc.Servers) == 0 || doc.Servers[0].URL != "/" {
		t.Errorf("servers %v", doc.Servers)
	}
	chapters := map[string]bool{}
	for _, tag := range doc.Tags {
		chapters[tag.Name] = true
	}
	public := map[string]bool{
		"list-sales": true, "get-sale": true, "get-sale-image": true, "watch-sale": true, "open-classes": true, "create-checkout": true, "ask-for-orders": true,
		"join-queue": true, "get-queue": true, "get-queue-challenge": true, "get-place": true, "watch-place": true, "prove-place": true,
	}
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if op.Security == nil {
				t.Errorf("%s %s does not say who may ask", method, path)
				continue
			}
			if isPublic := len(*op.Security) == 0; isPublic != public[op.OperationID] {
				t.Errorf("%s is public: %v", op.OperationID, isPublic)
			}
			for _, needed := range *op.Security {
				for scheme := range needed {
					if doc.Components.SecuritySchemes[scheme] == nil {
						t.Errorf("%s needs %s, which is not defined", op.OperationID, scheme)
					}
				}
			}
			if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 || !chapters[op.Tags[0]] || ids[op.OperationID] {
				t.Errorf("%s %s: %q, %q, %v, id %s", method, path, op.Summary, op.Description, op.Tags, op.OperationID)
			}
			ids[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s has no place for %s", path, p.Name)
				}
			}
		}
	}
}

func TestTheDocumentNamesItsServers(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.PublicURL, o.AdminURL, o.SeparateAdmin = "https://tickets.example", "http://10.0.0.1:8081", true
	})
	doc := readDocument(t, b.api.OpenAPI())
	if len(doc.Servers) != 1 || doc.Servers[0].URL != "https://tickets.example" {
		t.Errorf("servers %v", doc.Servers)
	}
	if op := doc.Paths["/v1/audit"]["get"]; len(op.Servers) != 1 || op.Servers[0].URL != "http://10.0.0.1:8081" {
		t.Errorf("the organiser's servers %v", op.Servers)
	}
	if op := doc.Paths["/v1/sales"]["get"]; len(op.Servers) != 0 {
		t.Errorf("the buyers' servers %v", op.Servers)
	}
}

// Every answer of 200 has a schema with content.
func TestEveryAnswerIsTyped(t *testing.T) {
	document, err := Document("")
	if err != nil {
		t.Fatal(err)
	}
	doc := readDocument(t, document)
	for path, operations := range doc.Paths {
		for method, op := range operations {
			for status, response := range op.Responses {
				content, isJSON := response.Content["application/json"]
				if !isJSON {
					continue
				}
				ref, _ := content.Schema["$ref"].(string)
				schema := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
				if properties, _ := schema["properties"].(map[string]any); len(properties) == 0 {
					t.Errorf("%s %s: %s answers %v", method, path, status, content.Schema)
				}
			}
		}
	}
	results := doc.Components.Schemas["AuditReport"]["properties"].(map[string]any)["results"].(map[string]any)
	if items, _ := results["items"].(map[string]any); items["$ref"] != "#/components/schemas/AuditResult" {
		t.Errorf("the results of an audit are %v", results)
	}
}

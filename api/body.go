package api

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A body is JSON by RFC 8259 and I-JSON (RFC 7493): UTF-8, every member once, no lone
// surrogates, exact names. encoding/json tolerates all of that and would accept what our
// schema refuses.

// jsonFormat is how huma reads bodies.
var jsonFormat = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}

func unmarshal(data []byte, into any) error {
	if !utf8.Valid(data) {
		return &bodyFault{message: notUTF8}
	}
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	fault := &bodyFault{message: "is not valid JSON"}
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		fault.at = pathOf(syntactic.JSONPointer)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			fault.message = "is given twice"
		}
	case errors.As(err, &semantic):
		fault.at, fault.message = pathOf(semantic.JSONPointer), "has a value that cannot be read"
		switch {
		case semantic.JSONKind == '0':
			fault.message = "must be a whole number within 64 bits, without fraction and exponent"
		case semantic.GoType == reflect.TypeFor[time.Time]():
			fault.message = "must be a time as RFC 3339 has it, such as 2027-01-01T18:00:00Z"
		}
	}
	return fault
}

const notUTF8 = "is not UTF-8"

// A bodyFault says where a body cannot be read, and why. huma passes on only its text, so
// the text has both.
type bodyFault struct{ at, message string }

const bodyFaultMark = "body fault: "

// Error implements error.
func (f *bodyFault) Error() string { return bodyFaultMark + f.at + "\n" + f.message }

func parseBodyFault(text string) (f bodyFault, ok bool) {
	text, ok = strings.CutPrefix(text, bodyFaultMark)
	if !ok {
		return bodyFault{}, false
	}
	end := strings.LastIndexByte(text, '\n') // a client's name may have any character; our message has no line break
	return bodyFault{text[:end], text[end+1:]}, true
}

// pathOf writes a JSON pointer the way huma writes paths: items[0].class.
func pathOf(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			b.WriteString("[" + token + "]")
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}

// bodySchemaKey is the key for an operation's bodySchema in its metadata.
const bodySchemaKey = "body"

// A bodySchema knows the members that a body may have. Anything else that a client wrote
// may be an address, and is not repeated.
type bodySchema struct {
	registry huma.Registry
	root     *huma.Schema // nil: the operation has no body
}

// locate follows a path as far as the schema knows it. rest is the unknown part as the
// client named it, siblings the names that the schema has there.
func (s *bodySchema) locate(path string) (field, rest string, siblings []string) {
	if s == nil || s.root == nil {
		return "", path, nil
	}
	at, rest := s.root, path
	for {
		for at != nil && at.Ref != "" {
			at = s.registry.SchemaFromRef(at.Ref)
		}
		switch {
		case at == nil || rest == "":
			return field, rest, nil
		case at.Type == huma.TypeObject && len(at.Properties) == 0: // a map: its keys are the client's
			return field, "", nil
		case at.Type == huma.TypeArray:
			index := rest[:strings.IndexByte(rest, ']')+1]
			if len(index) < 3 || index[0] != '[' || strings.Trim(index[1:len(index)-1], "0123456789") != "" {
				return field, rest, nil
			}
			field, rest, at = field+index, rest[len(index):], at.Items
			continue
		}
		siblings = slices.Sorted(maps.Keys(at.Properties))
		name := strings.TrimPrefix(rest, ".")
		known := ""
		for _, sibling := range siblings {
			if after, ok := strings.CutPrefix(name, sibling); ok && (after == "" || after[0] == '.' || after[0] == '[') {
				known = sibling
				break
			}
		}
		if known == "" {
			return field, name, siblings
		}
		field, rest, at = join(field, known), name[len(known):], at.Properties[known]
	}
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// fieldError is what a client is told about a place in its body.
func (s *bodySchema) fieldError(path, message string) FieldError {
	field, rest, siblings := s.locate(path)
	if rest != "" {
		for _, sibling := range siblings {
			if strings.EqualFold(sibling, rest) {
				return FieldError{Field: join(field, sibling), Message: "must be written exactly so, and once"}
			}
		}
		message = "has a member that this request does not know"
		if len(siblings) > 0 {
			message += "; it may have " + strings.Join(siblings, ", ")
		}
	}
	if field == "" {
		field = "body"
	}
	return FieldError{Field: field, Message: message}
}

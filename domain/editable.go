package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Editable is the part of a sale's definition that may change while the sale runs: the ledger does not fix it.
type Editable struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"` // of classes that have one
	Facts  Facts             `json:"facts,omitzero"`
	Image  SaleImage         `json:"image,omitzero"`
}

// Editable is what may be changed of the sale, as it is.
func (s *Sale) Editable() Editable {
	e := Editable{Name: s.Name, Facts: s.Facts, Image: s.Image}
	for _, c := range s.Classes {
		if c.Label != "" {
			if e.Labels == nil {
				e.Labels = make(map[string]string)
			}
			e.Labels[c.Name] = c.Label
		}
	}
	return e
}

// Edit makes the sale say something else.
func (s *Sale) Edit(e Editable) {
	s.Name, s.Facts, s.Image = e.Name, e.Facts, e.Image
	s.Classes = slices.Clone(s.Classes)
	for i := range s.Classes {
		s.Classes[i].Label = e.Labels[s.Classes[i].Name]
	}
}

// ValidateEditable checks what may be changed. The error is an *Error with CodeInvalid that names the field.
func (s *Sale) ValidateEditable() error {
	if !isTitle(s.Name, SaleNameMaxLen) {
		return Invalid("name", titleRule(SaleNameMaxLen))
	}
	for i, c := range s.Classes {
		if c.Label != "" && !isTitle(c.Label, LabelMaxLen) {
			return Invalid(fmt.Sprintf("classes[%d].label", i), titleRule(LabelMaxLen))
		}
	}
	return s.Facts.validate()
}

// Equal reports whether both say the same.
func (e Editable) Equal(other Editable) bool {
	a, _ := json.Marshal(e) // strings, numbers and times cannot fail
	b, _ := json.Marshal(other)
	return bytes.Equal(a, b)
}

// Differences names the members that differ, those of the facts with facts in front.
func (e Editable) Differences(other Editable) []string {
	a, b := membersOf(e), membersOf(other)
	names := make(map[string]bool)
	for name := range a {
		names[name] = !reflect.DeepEqual(a[name], b[name])
	}
	for name := range b {
		names[name] = !reflect.DeepEqual(a[name], b[name])
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

func membersOf(e Editable) map[string]any {
	var members map[string]any
	raw, _ := json.Marshal(e)
	_ = json.Unmarshal(raw, &members)
	facts, _ := members["facts"].(map[string]any)
	delete(members, "facts")
	for name, value := range facts {
		members["facts."+name] = value
	}
	return members
}

// A SaleChange asks for another Editable. The versions are those that the organiser may have seen; none: any.
type SaleChange struct {
	Sale     string
	Versions []int64
	Request  string // names the request in the logs
	Image    []byte // the file of the image, if Edit sets another one
	Edit     func(e *Editable) error
}

// Permits reports whether the change may be made to that version.
func (c *SaleChange) Permits(version int64) bool {
	return len(c.Versions) == 0 || slices.Contains(c.Versions, version)
}

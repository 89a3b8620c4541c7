package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Editable is the part of a sale's definition that may change while the sale runs: the ledger does not fix it.
type Editable struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"` // of classes that have one
	Facts  Facts             `json:"facts,omitzero"`
	Image  SaleImage         `json:"image,omitzero"`
	Terms  *Terms            `json:"terms,omitempty"` // nil: from a release in which they never changed

	BuyersKeptDays int64 `json:"buyers_kept_days,omitempty"` // 0: until they are erased on request
}

// Terms say when a sale and its classes are sold, and how many tickets of a class at once.
type Terms struct {
	OpensAt  time.Time             `json:"opens_at,omitzero"`
	ClosesAt time.Time             `json:"closes_at,omitzero"`
	Classes  map[string]ClassTerms `json:"classes,omitempty"` // of classes that have any
}

// ClassTerms are a class's own.
type ClassTerms struct {
	OpensAt     time.Time `json:"opens_at,omitzero"`
	ClosesAt    time.Time `json:"closes_at,omitzero"`
	MaxPerOrder int64     `json:"max_per_order,omitempty"` // 0: as many as the buyer may have
}

func (s *Sale) terms() *Terms {
	t := &Terms{OpensAt: exact(s.OpensAt), ClosesAt: exact(s.ClosesAt)}
	for _, c := range s.Classes {
		if of := (ClassTerms{exact(c.OpensAt), exact(c.ClosesAt), c.MaxPerOrder}); of != (ClassTerms{}) {
			t.Set(c.Name, of)
		}
	}
	return t
}

// Set gives a class terms of its own; zero takes them back.
func (t *Terms) Set(class string, of ClassTerms) {
	if of == (ClassTerms{}) {
		delete(t.Classes, class)
		return
	}
	if t.Classes == nil {
		t.Classes = make(map[string]ClassTerms)
	}
	t.Classes[class] = of
}

// exact is a time as the database keeps it.
func exact(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Editable is what may be changed of the sale, as it is.
func (s *Sale) Editable() Editable {
	e := Editable{Name: s.Name, Facts: s.Facts, Image: s.Image, Terms: s.terms(), BuyersKeptDays: s.BuyersKeptDays}
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
	s.Name, s.Facts, s.Image, s.BuyersKeptDays = e.Name, e.Facts, e.Image, e.BuyersKeptDays
	s.Classes = slices.Clone(s.Classes)
	for i := range s.Classes {
		c := &s.Classes[i]
		c.Label = e.Labels[c.Name]
		if e.Terms != nil {
			of := e.Terms.Classes[c.Name]
			c.OpensAt, c.ClosesAt, c.MaxPerOrder = of.OpensAt, of.ClosesAt, of.MaxPerOrder
		}
	}
	if e.Terms != nil {
		s.OpensAt, s.ClosesAt = e.Terms.OpensAt, e.Terms.ClosesAt
	}
}

// MayBecome checks a change of what can no longer be changed at a given time. The error is an
// *Error with CodeInvalid that names the field.
func (s *Sale) MayBecome(e Editable, now time.Time) error {
	switch {
	case e.Terms == nil || e.Terms.OpensAt.Equal(s.OpensAt):
		return nil
	case s.WaitingRoom:
		return Invalid("window.opens_at", "stays as it is in a sale with a waiting room: its draw goes by it")
	case s.HasOpened(now):
		return Invalid("window.opens_at", "stays as it is: the sale has opened, and people were told so. End it to stop it")
	default:
		return nil
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
	if s.BuyersKeptDays < 0 || s.BuyersKeptDays > BuyersKeptDaysMax {
		return Invalid("buyers_kept_days", fmt.Sprintf("must be 1–%d", BuyersKeptDaysMax))
	}
	if err := s.validateTerms(); err != nil {
		return err
	}
	return s.Facts.validate()
}

func (s *Sale) validateTerms() error {
	if err := validateWindow("", s.OpensAt, s.ClosesAt); err != nil {
		return err
	}
	for i, c := range s.Classes {
		field := fmt.Sprintf("classes[%d].", i)
		if c.MaxPerOrder < 0 || c.MaxPerOrder > s.BuyerLimit {
			return Invalid(field+"max_per_order", fmt.Sprintf("must be 1–%d, what a buyer may have", s.BuyerLimit))
		}
		if err := validateWindow(field, c.OpensAt, c.ClosesAt); err != nil {
			return err
		}
	}
	return nil
}

// Equal reports whether both say the same.
func (e Editable) Equal(other Editable) bool {
	a, _ := json.Marshal(e) // strings, numbers and times cannot fail
	b, _ := json.Marshal(other)
	return bytes.Equal(a, b)
}

// Differences names the members that differ, those of the facts with facts in front, those of the terms as a sale has them.
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
	terms, _ := members["terms"].(map[string]any)
	delete(members, "terms")
	maps.Copy(members, terms)
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

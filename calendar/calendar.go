// Package calendar writes what an order is for as a calendar file (RFC 5545), for calendars that people keep.
package calendar

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"boxoffice/domain"
)

// ContentType is the media type of a calendar file, FileName what it is called.
const (
	ContentType = "text/calendar; charset=utf-8"
	FileName    = "event.ics"
)

// localLayout is a time by the clocks of a zone, which a parameter names.
const localLayout = "20060102T150405"

// An Entry is the event of one order.
type Entry struct {
	Order  domain.OrderID
	Sale   *domain.Sale
	Items  []Item
	MadeAt time.Time
}

// Item is what the order has of one class.
type Item struct {
	Called   string
	Quantity int64
}

// Of is the entry of an order that has been sold.
func Of(order domain.OrderID, lines []domain.Line, sale *domain.Sale, madeAt time.Time) Entry {
	e := Entry{Order: order, Sale: sale, MadeAt: madeAt}
	for _, line := range lines {
		class, _ := sale.Class(line.Class)
		class.Name = line.Class
		e.Items = append(e.Items, Item{class.Called(), line.Quantity})
	}
	return e
}

// Write writes the file. There is none for a sale that does not say when it begins.
//
// The file has no link to the order, because that is the key to the tickets and people share their calendars. The same order is the same
// entry for ever, and a changed sale is a newer version of it.
func (e Entry) Write() (file []byte, ok bool) {
	facts := e.Sale.Facts
	begins, ends := facts.Begins(), facts.Ends()
	if begins.IsZero() {
		return nil, false
	}
	calendar := ics.NewCalendar()
	calendar.SetProductId("-//box office//tickets//EN")
	calendar.SetCalscale("GREGORIAN")
	addZone(calendar, begins, ends)

	event := calendar.AddEvent(e.Order.String() + "@boxoffice")
	event.SetDtStampTime(e.MadeAt.UTC())
	event.SetSequence(int(min(e.Sale.Version-1, 1<<30)))
	setTime(event, ics.ComponentPropertyDtStart, begins)
	if !ends.IsZero() {
		setTime(event, ics.ComponentPropertyDtEnd, ends)
	}
	event.SetSummary(e.Sale.Name)
	if where := venueLine(facts.Venue); where != "" {
		event.SetLocation(where)
	}
	event.SetDescription(e.description())
	event.SetStatus(ics.ObjectStatusConfirmed)
	if e.Sale.Canceled() {
		event.SetStatus(ics.ObjectStatusCancelled)
	}
	var b bytes.Buffer
	err := calendar.SerializeTo(&b, ics.WithNewLineWindows)
	return b.Bytes(), err == nil
}

func (e Entry) description() string {
	var b strings.Builder
	for _, item := range e.Items {
		fmt.Fprintf(&b, "%d × %s\n", item.Quantity, item.Called)
	}
	fmt.Fprintf(&b, "%s", e.Order)
	return b.String()
}

// venueLine is a venue in one line, as maps look it up.
func venueLine(v domain.Venue) string {
	lines := append([]string{v.Name}, strings.Split(v.Address, "\n")...)
	var said []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			said = append(said, line)
		}
	}
	return strings.Join(said, ", ")
}

// isUTC reports whether a time needs no zone of the file.
func isUTC(t time.Time) bool { return t.Location() == time.UTC }

func setTime(event *ics.VEvent, property ics.ComponentProperty, t time.Time) {
	if isUTC(t) {
		event.SetProperty(property, t.Format(localLayout)+"Z")
		return
	}
	event.SetProperty(property, t.Format(localLayout), ics.WithTZID(t.Location().String()))
}

// addZone adds what the clocks of the zone show from the start to the end of the event. Calendars that know the zone by its name take
// their own rules.
func addZone(calendar *ics.Calendar, begins, ends time.Time) {
	if isUTC(begins) {
		return
	}
	zone := calendar.AddTimezone(begins.Location().String())
	for at := begins; ; {
		from, until := at.ZoneBounds()
		addPeriod(zone, at, from)
		if until.IsZero() || ends.IsZero() || ends.Before(until) {
			return
		}
		at = until
	}
}

// addPeriod adds the period of a zone in which a time is. It began with a change of the clocks, or always was.
func addPeriod(zone *ics.VTimezone, at, from time.Time) {
	name, offset := at.Zone()
	onset, before := time.Unix(0, 0).UTC(), offset
	if !from.IsZero() {
		_, before = from.Add(-time.Second).Zone()
		onset = from.UTC().Add(time.Duration(before) * time.Second) // by the clocks before the change
	}
	base := ics.ComponentBase{}
	base.AddProperty(ics.ComponentProperty(ics.PropertyDtstart), onset.Format(localLayout))
	base.AddProperty(ics.ComponentProperty(ics.PropertyTzoffsetfrom), offsetText(before))
	base.AddProperty(ics.ComponentProperty(ics.PropertyTzoffsetto), offsetText(offset))
	base.AddProperty(ics.ComponentProperty(ics.PropertyTzname), name)
	if at.IsDST() {
		zone.Components = append(zone.Components, &ics.Daylight{ComponentBase: base})
		return
	}
	zone.Components = append(zone.Components, &ics.Standard{ComponentBase: base})
}

func offsetText(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	return fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
}

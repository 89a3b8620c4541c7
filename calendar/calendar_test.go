package calendar_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	ics "github.com/arran4/golang-ical"

	"boxoffice/calendar"
	"boxoffice/domain"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment.UTC()
}

const name = `Ein Abend; mit Größe, 東京 & "<b>Komma</b>" \n` + "\U0001F3AB und so lang, dass die Zeile umbrochen werden muss, mitten in 東京東京東京東京東京東京"

var order = domain.OrderID{1, 2, 3, 15: 0}

func write(t *testing.T, facts domain.Facts, canceled bool) *ics.Calendar {
	t.Helper()
	sale := &domain.Sale{Name: name, Facts: facts, Version: 3, Classes: []domain.Class{{Name: "A", Label: "Parkett, links"}, {Name: "B"}}}
	if canceled {
		sale.CanceledAt = time.Unix(1, 0)
	}
	lines := []domain.Line{{Class: "A", Quantity: 2}, {Class: "B", Quantity: 1}}
	file, ok := calendar.Of(order, lines, sale, time.Unix(1_800_000_000, 0)).Write()
	if !ok {
		t.Fatal("no file")
	}
	for line := range bytes.Lines(file) {
		if len(line) > 77 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("line %q of %d bytes, want at most 75 and CRLF", line, len(line))
		}
	}
	parsed, err := ics.ParseCalendar(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%v:\n%s", err, file)
	}
	return parsed
}

func TestTheEventOfAnOrder(t *testing.T) {
	facts := domain.Facts{
		StartsAt: at(t, "2024-05-01T18:00:00Z"), EndsAt: at(t, "2024-05-01T21:00:00Z"), TimeZone: "Europe/Berlin",
		Venue: domain.Venue{Name: "Tempodrom; großer Saal", Address: "Möckernstraße 10\n10963 Berlin"},
	}
	parsed := write(t, facts, false)
	event := parsed.Events()[0]
	for property, want := range map[ics.ComponentProperty]string{
		ics.ComponentPropertyUniqueId:    order.String() + "@boxoffice",
		ics.ComponentPropertySummary:     name,
		ics.ComponentPropertyLocation:    "Tempodrom; großer Saal, Möckernstraße 10, 10963 Berlin",
		ics.ComponentPropertyDescription: "2 × Parkett, links\n1 × Class B\n" + order.String(),
		ics.ComponentPropertySequence:    "2",
		ics.ComponentPropertyStatus:      "CONFIRMED",
		ics.ComponentPropertyDtStart:     "20240501T200000",
		ics.ComponentPropertyDtEnd:       "20240501T230000",
	} {
		if got := event.GetProperty(property); got == nil || got.Value != want {
			t.Errorf("%s is %+v, want %q", property, got, want)
		}
	}
	begins, err := event.GetStartAt()
	if err != nil || !begins.Equal(facts.StartsAt) || begins.Location().String() != "Europe/Berlin" {
		t.Errorf("begins %v, %v", begins, err)
	}
	if status := write(t, facts, true).Events()[0].GetProperty(ics.ComponentPropertyStatus).Value; status != "CANCELLED" {
		t.Errorf("of a canceled sale: %s", status)
	}
}

// A calendar that does not know the zone finds the offsets of start and end in the file.
func TestTheZoneOfAnEvent(t *testing.T) {
	for name, tt := range map[string]struct {
		starts, ends, zone string
		want               string // DTSTART from to, of each period
	}{
		"summer":                     {"2024-05-01T18:00:00Z", "2024-05-01T21:00:00Z", "Europe/Berlin", "DAYLIGHT 20240331T020000 +0100 +0200"},
		"winter":                     {"2024-12-01T18:00:00Z", "", "Europe/Berlin", "STANDARD 20241027T030000 +0200 +0100"},
		"the night clocks go back":   {"2024-10-26T20:00:00Z", "2024-10-27T03:00:00Z", "Europe/Berlin", "DAYLIGHT 20240331T020000 +0100 +0200, STANDARD 20241027T030000 +0200 +0100"},
		"west":                       {"2024-07-01T18:00:00Z", "", "America/St_Johns", "DAYLIGHT 20240310T020000 -0330 -0230"},
		"no summer time any more":    {"2024-05-01T18:00:00Z", "", "Asia/Seoul", "STANDARD 19881009T030000 +1000 +0900"},
		"a zone that never changed":  {"2024-05-01T18:00:00Z", "", "Etc/GMT+5", "STANDARD 19700101T000000 -0500 -0500"},
		"ends as the clocks go back": {"2024-10-26T20:00:00Z", "2024-10-27T01:00:00Z", "Europe/Berlin", "DAYLIGHT 20240331T020000 +0100 +0200, STANDARD 20241027T030000 +0200 +0100"},
		"UTC":                        {"2024-05-01T18:00:00Z", "", "UTC", ""},
	} {
		t.Run(name, func(t *testing.T) {
			parsed := write(t, domain.Facts{StartsAt: at(t, tt.starts), EndsAt: at(t, tt.ends), TimeZone: tt.zone}, false)
			var got []string
			for _, zone := range parsed.Timezones() {
				if id := zone.GetProperty(ics.ComponentProperty(ics.PropertyTzid)); id == nil || id.Value != tt.zone {
					t.Errorf("zone %+v", id)
				}
				for _, period := range zone.SubComponents() {
					kind, base := "STANDARD", ics.ComponentBase{}
					switch period := period.(type) {
					case *ics.Standard:
						base = period.ComponentBase
					case *ics.Daylight:
						kind, base = "DAYLIGHT", period.ComponentBase
					}
					text := []string{kind}
					for _, property := range []ics.Property{ics.PropertyDtstart, ics.PropertyTzoffsetfrom, ics.PropertyTzoffsetto} {
						text = append(text, base.GetProperty(ics.ComponentProperty(property)).Value)
					}
					got = append(got, strings.Join(text, " "))
				}
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			event := parsed.Events()[0]
			if begins, err := event.GetStartAt(); err != nil || !begins.Equal(at(t, tt.starts)) {
				t.Errorf("begins %v, %v", begins, err)
			}
		})
	}
}

func TestNoEventWithoutATime(t *testing.T) {
	if file, ok := calendar.Of(order, nil, &domain.Sale{Name: "x", Facts: domain.Facts{TimeZone: "Europe/Berlin"}}, time.Now()).Write(); ok {
		t.Errorf("%s", file)
	}
}

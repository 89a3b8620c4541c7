package domain_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

var evening = time.Date(2027, 5, 1, 18, 0, 0, 0, time.UTC)

func saleWith(f domain.Facts) *domain.Sale {
	return &domain.Sale{
		ID: "a", Name: "A", Currency: "EUR", BuyerLimit: 1, HoldTimeout: time.Minute, Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 1}}, Facts: f,
	}
}

func TestFactsOfASale(t *testing.T) {
	full := domain.Facts{
		Description: "An evening.\n\nWith <b>music</b>, 東京 🎉", Venue: domain.Venue{Name: "Tempodrom", Address: "Möckernstraße 10\n10963 Berlin"},
		StartsAt: evening, EndsAt: evening.Add(3 * time.Hour), TimeZone: "Europe/Berlin",
		Terms: "No cameras.", TermsURL: "https://example.com/terms?lang=de#a", Imprint: "Bühne GmbH\nBerlin",
	}
	for name, tt := range map[string]struct {
		change func(f *domain.Facts)
		field  string // empty: taken
	}{
		"none":                    {func(f *domain.Facts) { *f = domain.Facts{} }, ""},
		"all":                     {func(*domain.Facts) {}, ""},
		"a start without an end":  {func(f *domain.Facts) { f.EndsAt = time.Time{} }, ""},
		"a zone alone":            {func(f *domain.Facts) { f.StartsAt, f.EndsAt = time.Time{}, time.Time{} }, ""},
		"UTC":                     {func(f *domain.Facts) { f.TimeZone = "UTC" }, ""},
		"a zone of three parts":   {func(f *domain.Facts) { f.TimeZone = "America/Argentina/Ushuaia" }, ""},
		"a zone by its offset":    {func(f *domain.Facts) { f.TimeZone = "Etc/GMT+5" }, ""},
		"as long as it may be":    {func(f *domain.Facts) { f.Description = strings.Repeat("x", domain.DescriptionMaxLen) }, ""},
		"names of holders":        {func(f *domain.Facts) { f.HolderNames = domain.HolderNames{Asked: true, Until: evening} }, ""},
		"a deadline for no names": {func(f *domain.Facts) { f.HolderNames.Until = evening }, "facts.holder_names.until"},
		"a deadline in the year 10000": {func(f *domain.Facts) {
			f.HolderNames = domain.HolderNames{Asked: true, Until: evening.AddDate(8000, 0, 0)}
		}, "facts.holder_names.until"},
		"ends before it begins":            {func(f *domain.Facts) { f.EndsAt = evening.Add(-time.Second) }, "facts.ends_at"},
		"ends as it begins":                {func(f *domain.Facts) { f.EndsAt = evening }, "facts.ends_at"},
		"ends and never begins":            {func(f *domain.Facts) { f.StartsAt = time.Time{} }, "facts.starts_at"},
		"begins in the year 10000":         {func(f *domain.Facts) { f.StartsAt = evening.AddDate(8000, 0, 0) }, "facts.starts_at"},
		"ends in the year 10000":           {func(f *domain.Facts) { f.EndsAt = evening.AddDate(8000, 0, 0) }, "facts.ends_at"},
		"begins without a zone":            {func(f *domain.Facts) { f.TimeZone = "" }, "facts.time_zone"},
		"a zone that is none":              {func(f *domain.Facts) { f.TimeZone = "Europe/Berlim" }, "facts.time_zone"},
		"the machine's zone":               {func(f *domain.Facts) { f.TimeZone = "Local" }, "facts.time_zone"},
		"a zone in lower case":             {func(f *domain.Facts) { f.TimeZone = "europe/berlin" }, "facts.time_zone"},
		"a zone with leap seconds":         {func(f *domain.Facts) { f.TimeZone = "right/Europe/Berlin" }, "facts.time_zone"},
		"a file":                           {func(f *domain.Facts) { f.TimeZone = "../../etc/passwd" }, "facts.time_zone"},
		"an offset":                        {func(f *domain.Facts) { f.TimeZone = "+02:00" }, "facts.time_zone"},
		"a long description":               {func(f *domain.Facts) { f.Description = strings.Repeat("x", domain.DescriptionMaxLen+1) }, "facts.description"},
		"NUL in the description":           {func(f *domain.Facts) { f.Description = "a\x00b" }, "facts.description"},
		"a terminal's code in the terms":   {func(f *domain.Facts) { f.Terms = "a\x1b[2Jb" }, "facts.terms"},
		"a lone return in the imprint":     {func(f *domain.Facts) { f.Imprint = "a\rb" }, "facts.imprint"},
		"no UTF-8 in the address":          {func(f *domain.Facts) { f.Venue.Address = "a\xffb" }, "facts.venue.address"},
		"a venue of two lines":             {func(f *domain.Facts) { f.Venue.Name = "a\nb" }, "facts.venue.name"},
		"a venue of 10,000 letters":        {func(f *domain.Facts) { f.Venue.Name = strings.Repeat("x", 10_000) }, "facts.venue.name"},
		"terms by http":                    {func(f *domain.Facts) { f.TermsURL = "http://example.com/" }, "facts.terms_url"},
		"terms by javascript":              {func(f *domain.Facts) { f.TermsURL = "javascript:alert(1)" }, "facts.terms_url"},
		"terms as data":                    {func(f *domain.Facts) { f.TermsURL = "data:text/html,x" }, "facts.terms_url"},
		"terms of nobody":                  {func(f *domain.Facts) { f.TermsURL = "https:///terms" }, "facts.terms_url"},
		"terms with a password":            {func(f *domain.Facts) { f.TermsURL = "https://bank.example@evil.example/" }, "facts.terms_url"},
		"terms by an address with a space": {func(f *domain.Facts) { f.TermsURL = "https://example.com/a b" }, "facts.terms_url"},
		"terms by a long address":          {func(f *domain.Facts) { f.TermsURL = "https://example.com/" + strings.Repeat("x", domain.URLMaxLen) }, "facts.terms_url"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := full
			tt.change(&facts)
			wantField(t, saleWith(facts).Validate(), tt.field)
			wantField(t, saleWith(facts).ValidateEditable(), tt.field)
		})
	}
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var refused *domain.Error
	switch {
	case field == "" && err != nil:
		t.Errorf("refused: %v", err)
	case field != "" && (!errors.As(err, &refused) || refused.Code != domain.CodeInvalid || refused.Field != field):
		t.Errorf("%v, want %s refused", err, field)
	}
}

func TestNamesAreFree(t *testing.T) {
	for name, tt := range map[string]struct {
		name, label, field string
	}{
		"free":                    {"Ein Abend: “Größe” <i>&</i> 東京", "Parkett, links – Reihe 1–12", ""},
		"no label":                {"A", "", ""},
		"a label of blanks":       {"A", "  ", "classes[0].label"},
		"a label of two lines":    {"A", "a\nb", "classes[0].label"},
		"a long label":            {"A", strings.Repeat("x", domain.LabelMaxLen+1), "classes[0].label"},
		"no name":                 {" ", "", "name"},
		"10,000 letters":          {strings.Repeat("x", 10_000), "", "name"},
		"a control character":     {"a\x07", "", "name"},
		"a label with a bell, \a": {"A", "a\a", "classes[0].label"},
	} {
		t.Run(name, func(t *testing.T) {
			sale := saleWith(domain.Facts{})
			sale.Name, sale.Classes[0].Label = tt.name, tt.label
			wantField(t, sale.Validate(), tt.field)
			wantField(t, sale.ValidateEditable(), tt.field)
		})
	}
}

func TestFactsAreKeptInOneForm(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	got := domain.Facts{
		Description: " a\r\nb\n ", Venue: domain.Venue{Name: " c ", Address: "d\r\ne"}, StartsAt: evening.In(zone).Add(time.Millisecond), EndsAt: evening.Add(time.Hour), Terms: "\n",
	}.Normal()
	want := domain.Facts{Description: "a\nb", Venue: domain.Venue{Name: "c", Address: "d\ne"}, StartsAt: evening, EndsAt: evening.Add(time.Hour)}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// People read times by the clocks of the venue, in the night in which they go back too.
func TestTimesOfTheVenue(t *testing.T) {
	for _, tt := range []struct{ at, zone, want string }{
		{"2024-05-01T18:00:00Z", "Europe/Berlin", "2024-05-01T20:00:00+02:00"},
		{"2024-10-27T00:30:00Z", "Europe/Berlin", "2024-10-27T02:30:00+02:00"},
		{"2024-10-27T01:30:00Z", "Europe/Berlin", "2024-10-27T02:30:00+01:00"},
		{"2024-05-01T18:00:00Z", "Asia/Kathmandu", "2024-05-01T23:45:00+05:45"},
		{"2024-05-01T18:00:00Z", "Nowhere/Else", "2024-05-01T18:00:00Z"}, // of a newer release
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (domain.Facts{StartsAt: at, TimeZone: tt.zone}).Begins().Format(time.RFC3339); got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.at, tt.zone, got, tt.want)
		}
	}
}

func TestWhatAChangeChanges(t *testing.T) {
	before := saleWith(domain.Facts{Terms: "a", Imprint: "b"})
	after := before.Editable()
	after.Name, after.Facts.Terms, after.Facts.Venue.Name, after.Labels = "B", "", "c", map[string]string{"A": "Stalls"}
	if got, want := before.Editable().Differences(after), []string{"facts.terms", "facts.venue", "labels", "name"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	changed := *before
	changed.Edit(after)
	if !changed.Editable().Equal(after) || before.Classes[0].Label != "" || before.Name != "A" {
		t.Errorf("%+v, before %+v", changed, before)
	}
	if got := after.Differences(after); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

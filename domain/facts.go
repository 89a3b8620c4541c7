package domain

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on every machine, and the same on each
	"unicode"
	"unicode/utf8"
)

// Limits of a sale's facts, in bytes.
const (
	DescriptionMaxLen  = 10_000
	VenueNameMaxLen    = 200
	VenueAddressMaxLen = 500
	TermsMaxLen        = 20_000
	ImprintMaxLen      = 2_000
	LabelMaxLen        = 100
	URLMaxLen          = 2_000
)

// Facts are what people should know of what is sold. All are optional. Nothing in the ledger depends on them, so they may change
// while the sale runs. Texts are plain: markup in them is shown as it stands.
type Facts struct {
	Description string    `json:"description,omitempty"` // several lines
	Venue       Venue     `json:"venue,omitzero"`
	StartsAt    time.Time `json:"starts_at,omitzero"`
	EndsAt      time.Time `json:"ends_at,omitzero"`
	TimeZone    string    `json:"time_zone,omitempty"` // IANA name of the zone where it happens
	Terms       string    `json:"terms,omitempty"`     // several lines
	TermsURL    string    `json:"terms_url,omitempty"` // https
	Imprint     string    `json:"imprint,omitempty"`   // who sells, several lines

	HolderNames HolderNames `json:"holder_names,omitzero"`
}

// HolderNames says whether buyers may say who each ticket is for, and how long.
type HolderNames struct {
	Asked bool      `json:"asked"`
	Until time.Time `json:"until,omitzero"` // zero: until it begins, if the sale says when
}

// HolderNamesUntil is when names can no longer be changed; zero: there is no end.
func (f Facts) HolderNamesUntil() time.Time {
	if f.HolderNames.Until.IsZero() {
		return f.StartsAt
	}
	return f.HolderNames.Until
}

// TakesHolderNames reports whether buyers may say at a time who each ticket is for.
func (f Facts) TakesHolderNames(now time.Time) bool {
	until := f.HolderNamesUntil()
	return f.HolderNames.Asked && (until.IsZero() || now.Before(until))
}

// A Venue is where it happens.
type Venue struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"` // several lines
}

// A SaleImage is the image of a sale: a JPEG, by the hash of its bytes.
type SaleImage struct {
	Hash   string `json:"hash,omitempty"` // 32 hexadecimal digits
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
}

// ImagePath is where the sale's image is shown; empty: it has none.
func (s *Sale) ImagePath() string {
	if s.Image.Hash == "" {
		return ""
	}
	return "/v1/sales/" + s.ID + "/images/" + s.Image.Hash
}

// Normal returns the facts as they are stored: times of whole seconds in UTC, lines that end in \n, no space around texts.
func (f Facts) Normal() Facts {
	text := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	f.Description, f.Terms, f.Imprint = text(f.Description), text(f.Terms), text(f.Imprint)
	f.Venue.Name, f.Venue.Address = strings.TrimSpace(f.Venue.Name), text(f.Venue.Address)
	f.TermsURL = strings.TrimSpace(f.TermsURL)
	f.StartsAt, f.EndsAt = wholeSeconds(f.StartsAt), wholeSeconds(f.EndsAt)
	f.HolderNames.Until = wholeSeconds(f.HolderNames.Until)
	return f
}

func wholeSeconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// IsZero reports whether nothing is said.
func (f Facts) IsZero() bool { return f == Facts{} }

// Brief is the facts without their long texts.
func (f Facts) Brief() Facts {
	f.Description, f.Terms, f.Imprint = "", "", ""
	return f
}

// Location is the zone where it happens; UTC if none is named.
func (f Facts) Location() *time.Location {
	if f.TimeZone == "" {
		return time.UTC
	}
	location, err := time.LoadLocation(f.TimeZone)
	if err != nil { // named by a release that knows more zones
		return time.UTC
	}
	return location
}

// Begins is the start by the clocks of the venue; zero if it is not known.
func (f Facts) Begins() time.Time { return inZone(f.StartsAt, f.Location()) }

// Ends is the end by the clocks of the venue; zero if it is not known.
func (f Facts) Ends() time.Time { return inZone(f.EndsAt, f.Location()) }

func inZone(t time.Time, zone *time.Location) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(zone)
}

// validate checks the facts. The error is an *Error with CodeInvalid that names the field.
func (f Facts) validate() error {
	texts := []struct {
		field, text string
		bytesMax    int
		lines       bool
	}{
		{"facts.description", f.Description, DescriptionMaxLen, true},
		{"facts.venue.name", f.Venue.Name, VenueNameMaxLen, false},
		{"facts.venue.address", f.Venue.Address, VenueAddressMaxLen, true},
		{"facts.terms", f.Terms, TermsMaxLen, true},
		{"facts.imprint", f.Imprint, ImprintMaxLen, true},
	}
	for _, t := range texts {
		switch {
		case t.text == "":
		case t.lines && !isText(t.text, t.bytesMax):
			return Invalid(t.field, fmt.Sprintf("must have at most %d bytes of text, without control characters", t.bytesMax))
		case !t.lines && !isTitle(t.text, t.bytesMax):
			return Invalid(t.field, titleRule(t.bytesMax))
		}
	}
	switch {
	case f.TermsURL != "" && !isSecureURL(f.TermsURL):
		return Invalid("facts.terms_url", fmt.Sprintf("must be an https URL of at most %d bytes", URLMaxLen))
	case f.TimeZone != "" && !isTimeZone(f.TimeZone):
		return Invalid("facts.time_zone", "must be the IANA name of a time zone, such as Europe/Berlin")
	case !f.StartsAt.IsZero() && !isShownTime(f.StartsAt):
		return Invalid("facts.starts_at", shownTimeRule)
	case !f.EndsAt.IsZero() && !isShownTime(f.EndsAt):
		return Invalid("facts.ends_at", shownTimeRule)
	case !f.StartsAt.IsZero() && f.TimeZone == "":
		return Invalid("facts.time_zone", "is needed with facts.starts_at: the zone where it happens, such as Europe/Berlin")
	case !f.HolderNames.Until.IsZero() && !isShownTime(f.HolderNames.Until):
		return Invalid("facts.holder_names.until", shownTimeRule)
	case !f.HolderNames.Until.IsZero() && !f.HolderNames.Asked:
		return Invalid("facts.holder_names.until", "is for a sale that asks for names: set facts.holder_names.asked")
	case !f.EndsAt.IsZero() && f.StartsAt.IsZero():
		return Invalid("facts.starts_at", "is needed with facts.ends_at")
	case !f.EndsAt.IsZero() && !f.EndsAt.After(f.StartsAt):
		return Invalid("facts.ends_at", "must be after facts.starts_at")
	}
	return nil
}

// isText reports whether people can read s, in one line or several.
func isText(s string, bytesMax int) bool {
	return len(s) <= bytesMax && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t'
	})
}

func isSecureURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && len(s) <= URLMaxLen &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) })
}

// What time zone databases have beside the names of zones: the same zones under another clock, or whatever a machine is set to.
var zonePattern = regexp.MustCompile(`^(UTC|[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){1,2})$`)

func isTimeZone(name string) bool {
	if len(name) > 64 || !zonePattern.MatchString(name) {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

var shownTimeRule = fmt.Sprintf("must be within the years %d–%d", opensYearMin, opensYearMax)

func isShownTime(t time.Time) bool {
	return t.UTC().Year() >= opensYearMin && t.UTC().Year() <= opensYearMax
}

// Called is what people call the class: its label, or "Class" and its id.
func (c Class) Called() string {
	if c.Label != "" {
		return c.Label
	}
	return "Class " + c.Name
}

// Labelled is the class's label, or its id.
func (c Class) Labelled() string {
	if c.Label != "" {
		return c.Label
	}
	return c.Name
}

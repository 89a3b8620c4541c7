package storefront

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"boxoffice/domain"
)

// What pages say of what is sold, to people and to those who read pages for people.

const descMax = 300 // letters of a description that others show

var errNoAnswer = errors.New("the API does not answer")

// where is the venue in one line.
func where(f domain.Facts) string {
	switch {
	case f.Venue.Name == "":
		return oneLine(f.Venue.Address)
	case f.Venue.Address == "":
		return f.Venue.Name
	default:
		return f.Venue.Name + ", " + oneLine(f.Venue.Address)
	}
}

func oneLine(text string) string { return strings.Join(strings.Split(text, "\n"), ", ") }

// social is what other sites show of a page: Open Graph, and schema.org for search engines.
type social struct {
	Title, Description, URL, Image string
	Event                          *ldEvent // nil: the sale does not say when
}

type ldEvent struct {
	Context     string    `json:"@context"`
	Type        string    `json:"@type"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	StartDate   string    `json:"startDate"`
	EndDate     string    `json:"endDate,omitempty"`
	Status      string    `json:"eventStatus"`
	Attendance  string    `json:"eventAttendanceMode,omitempty"`
	Location    *ldPlace  `json:"location,omitempty"`
	Image       []string  `json:"image,omitempty"`
	URL         string    `json:"url,omitempty"`
	Offers      []ldOffer `json:"offers"`
}

type ldPlace struct {
	Type    string `json:"@type"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

type ldOffer struct {
	Type         string `json:"@type"`
	Name         string `json:"name"`
	Price        string `json:"price"`
	Currency     string `json:"priceCurrency"`
	Availability string `json:"availability,omitempty"`
	ValidFrom    string `json:"validFrom,omitempty"`
	URL          string `json:"url,omitempty"`
}

const schemaOrg = "https://schema.org/"

// socialOf describes a sale. Without a public URL there are no links: the Host of a request may be anything.
func (p *pages) socialOf(in *words, data *saleData) *social {
	s := &social{Title: data.Name, Description: in.shorten(data.Facts)}
	if p.PublicURL != "" {
		s.URL = p.PublicURL + "/sales/" + data.ID
		if path := data.ImagePath(); path != "" {
			s.Image = p.PublicURL + path
		}
	}
	begins, ends := data.Facts.Begins(), data.Facts.Ends()
	if begins.IsZero() {
		return s
	}
	e := &ldEvent{
		Context: "https://schema.org", Type: "Event", Name: data.Name, Description: data.Facts.Description,
		StartDate: begins.Format(time.RFC3339), Status: schemaOrg + "EventScheduled", URL: s.URL,
	}
	if !ends.IsZero() {
		e.EndDate = ends.Format(time.RFC3339)
	}
	if data.Canceled() {
		e.Status = schemaOrg + "EventCancelled"
	}
	if v := data.Facts.Venue; v != (domain.Venue{}) {
		e.Location, e.Attendance = &ldPlace{Type: "Place", Name: v.Name, Address: oneLine(v.Address)}, schemaOrg+"OfflineEventAttendanceMode"
	}
	if s.Image != "" {
		e.Image = []string{s.Image}
	}
	for _, class := range data.Classes {
		if class.Hidden { // also for a reader who has shown a code
			continue
		}
		e.Offers = append(e.Offers, offerOf(in, data, class, s.URL))
	}
	s.Event = e
	return s
}

func offerOf(in *words, data *saleData, class classRow, url string) ldOffer {
	whole, fraction := domain.MinorDigits(class.PriceMinor, data.Currency)
	o := ldOffer{Type: "Offer", Name: in.titled(class.Label, class.Name), Price: whole, Currency: data.Currency, URL: url, ValidFrom: data.OpensAt}
	if fraction != "" {
		o.Price += "." + fraction
	}
	switch {
	case data.Canceled() || class.Out():
		o.Availability = schemaOrg + "SoldOut"
	case class.Known:
		o.Availability = schemaOrg + "InStock"
	}
	return o
}

// shorten is the beginning of the description in one line, or else when and where.
func (w *words) shorten(f domain.Facts) string {
	text := strings.Join(strings.Fields(f.Description), " ")
	if text == "" {
		return strings.Trim(w.when(f)+" · "+where(f), " ·")
	}
	if letters := []rune(text); len(letters) > descMax {
		return strings.TrimSpace(string(letters[:descMax])) + "…"
	}
	return text
}

// A file of an order, as the API has it.
type orderFile struct{ route, name, contentType string }

var (
	calendarFile = orderFile{"calendar", "event.ics", "text/calendar; charset=utf-8"}
	ticketsFile  = orderFile{"pdf", "tickets.pdf", "application/pdf"}
)

// file gives a file of an order to a browser without JavaScript that made it.
func (p *pages) file(file orderFile) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := domain.ParseOrderID(r.PathValue("order"))
		cookie, cookieErr := r.Cookie(orderCookie)
		if err != nil || cookieErr != nil {
			p.notFound(w, r)
			return
		}
		a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/orders/" + id.String() + "/" + file.route, header: bearer(cookie.Value)}, nil)
		switch {
		case err != nil:
			p.unavailable(w, r, err)
		case a.openEnded():
			p.unavailable(w, r, errNoAnswer)
		case !a.ok():
			p.notFound(w, r)
		default:
			h := w.Header()
			h.Set("Content-Type", file.contentType)
			h.Set("Content-Disposition", `attachment; filename="`+file.name+`"`)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-store")
			_, _ = w.Write(a.body) // the reader may be gone
		}
	}
}

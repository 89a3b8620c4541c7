package mockpay

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const stylePath = "/assets/pay.css"

//go:embed web/pay.html web/pay.css
var web embed.FS

var pageTemplate = template.Must(template.ParseFS(web, "web/pay.html"))

// refreshMax is how long an open page waits before it checks again whether its session
// has expired.
const refreshMax = time.Hour

// pageView is what the pay page shows.
type pageView struct {
	Open        bool // there are buttons
	Delayed     bool // one of them for a payment that is processed for a while
	Processing  bool // such a payment is under way: the buttons say how it ends
	Title       string
	Notice      string // what happened
	Tone        string // good, bad or plain
	Amount      string
	Description string
	Order       string
	ExpiresAt   time.Time
	Action      string // where the buttons post to
	Attempt     int    // which they make
	ReturnURL   string // empty: nowhere
	RefreshIn   int    // seconds; 0: never
}

// showPage opens the session on the first visit.
func (a *api) showPage(w http.ResponseWriter, r *http.Request) {
	link, err := a.links.Parse(r.PathValue("session"), r.URL.RawQuery)
	if err != nil {
		a.failPage(w, r, nil, err)
		return
	}
	session, err := a.bank.visit(link)
	if err != nil {
		a.failPage(w, r, &link, err)
		return
	}
	a.render(w, http.StatusOK, &link, a.view(r, &link, session))
}

// submitPage takes the buyer's decision and sends them back to the shop, or, if they may
// try again, to this page.
func (a *api) submitPage(w http.ResponseWriter, r *http.Request) {
	link, err := a.links.Parse(r.PathValue("session"), r.URL.RawQuery)
	if err != nil {
		a.failPage(w, r, nil, err)
		return
	}
	request := mockpay.PayRequest{Outcome: mockpay.Outcome(r.PostFormValue("outcome"))}
	request.Attempt, _ = strconv.Atoi(r.PostFormValue("attempt")) // without one: the next
	session, err := a.bank.pay(link.Order, request, &link)
	switch {
	case err == nil && session.Status == mockpay.SessionOpen:
		http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther)
	case err == nil:
		http.Redirect(w, r, link.ReturnURL, http.StatusSeeOther) // the link is signed, including its return address
	case session.Session != "" && session.Status != mockpay.SessionOpen:
		a.render(w, http.StatusConflict, &link, a.view(r, &link, session)) // already decided: show how
	default:
		a.failPage(w, r, &link, err)
	}
}

func (a *api) view(r *http.Request, link *mockpay.PayLink, s mockpay.Session) pageView {
	v := pageView{
		Amount:      domain.FormatMoney(link.AmountMinor, link.Currency),
		Description: link.Description,
		Order:       link.Order.String(),
		ReturnURL:   link.ReturnURL,
	}
	switch s.Status {
	case mockpay.SessionOpen:
		v.Open, v.Title, v.ExpiresAt, v.Action = true, "Pay for your order", s.ExpiresAt, r.URL.RequestURI()
		v.Attempt, v.Delayed = s.Declines+1, s.Delayed
		if s.Declines > 0 {
			v.Notice = fmt.Sprintf("The payment was declined. Nothing was charged. Try again: attempt %d of %d.", v.Attempt, domain.DeclinesMax)
			v.Tone = "bad"
		}
		if left := s.ExpiresAt.Sub(a.bank.now()); left < refreshMax {
			v.RefreshIn = int(left/time.Second) + 1
		}
	case mockpay.SessionProcessing:
		v.Processing, v.Action = true, r.URL.RequestURI()
		v.Title, v.Notice, v.Tone = "The payment is being processed", "Nothing was charged yet. You say when the money arrives, or that it does not.", "plain"
	case mockpay.SessionCaptured:
		v.Title, v.Notice, v.Tone = "Paid", "This payment was made. Thank you!", "good"
	case mockpay.SessionAuthorized:
		v.Title, v.Notice, v.Tone = "Paid", "This payment was authorised. It is charged once the tickets are yours.", "good"
	case mockpay.SessionFailed:
		v.Title, v.Notice, v.Tone = "Payment failed", "The payment failed. Nothing was charged.", "bad"
	case mockpay.SessionCanceled:
		v.Title, v.Notice, v.Tone = "Payment canceled", "You canceled the payment. Nothing was charged.", "plain"
	default:
		v.Title, v.Notice, v.Tone = "Too late to pay", "The time to pay for this order is over. Nothing was charged.", "bad"
	}
	return v
}

func (a *api) failPage(w http.ResponseWriter, r *http.Request, link *mockpay.PayLink, err error) {
	f := a.failureOf(r, err)
	v := pageView{Title: "This payment cannot be made", Notice: f.detail, Tone: "bad"}
	if link != nil {
		v.ReturnURL = link.ReturnURL
	}
	a.render(w, f.status, link, v)
}

func (a *api) render(w http.ResponseWriter, status int, link *mockpay.PayLink, v pageView) {
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, v); err != nil {
		a.log.Error("render the pay page", "error", err)
		http.Error(w, "cannot show the page", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", contentPolicy(link))
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "same-origin") // the address is the right to pay
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the client is gone: nobody to tell
}

// contentPolicy lets the form be redirected to the shop: browsers apply form-action to
// the redirect after a form too.
func contentPolicy(link *mockpay.PayLink) string {
	actions := "'self'"
	if link != nil {
		if back, err := url.Parse(link.ReturnURL); err == nil {
			actions += " " + back.Scheme + "://" + back.Host
		}
	}
	return "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action " + actions
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, web, "web/pay.css")
}

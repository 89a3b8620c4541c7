package storefront

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"boxoffice/domain"
	"boxoffice/qrcode"
)

// Limits of a form that was sent without JavaScript.
const (
	formBytesMax = 16 << 10
	keyLenMax    = 255
	// cookieAge is how long a browser without JavaScript finds its order by its address
	// alone. The order's own link, with its key, never ends.
	cookieAge = 30 * 24 * time.Hour
)

// orderCookie lets the page of an order read it without JavaScript: it has the order's
// token, and is sent only to that page.
const orderCookie = "boxoffice-order"

// A notice is a message to the visitor on a page.
type notice struct {
	Kind, Heading, Text string
	Order               string // an address: where the visitor's own order is
}

// formData is the checkout form as it is sent without JavaScript.
type formData struct {
	Key        string // Idempotency-Key of the request: sending the form twice buys once
	QueueToken string
	Email      string
	Code       string // that opens hidden classes
	Quantities map[string]int64
	Notice     *notice
	Repeat     bool // no answer came: the same form may be sent again, whatever is left
}

type checkoutItem struct {
	Class    string `json:"class"`
	Quantity int64  `json:"quantity"`
}

type checkoutBuyer struct {
	Email string `json:"email"`
}

// postedForm reads the form of a sale's page. It returns the request in the language of the form,
// and the sale; nil: the visitor was answered.
func (p *pages) postedForm(w http.ResponseWriter, r *http.Request) (*http.Request, *domain.Sale) {
	sale, err := p.Catalog.Sale(r.Context(), r.PathValue("sale"))
	if err != nil {
		p.noSale(w, r, err)
		return r, nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	if err := r.ParseForm(); err != nil {
		p.renderSale(w, r, http.StatusBadRequest, p.saleData(r, sale))
		return r, nil
	}
	return p.postedLanguage(w, r), sale
}

// checkout holds seats for visitors without JavaScript. It asks the API as the script
// does, so that the API decides every rule.
func (p *pages) checkout(w http.ResponseWriter, r *http.Request) {
	r, sale := p.postedForm(w, r)
	if sale == nil {
		return
	}
	form, items := readForm(r, sale)
	if r.PostForm.Get("key") == "" { // the form is from a page that a cache kept, or from a program
		data := p.saleData(r, sale)
		data.Form, data.Held = form, p.heldOrders(w, r, sale)
		p.openClasses(w, r, sale, &data)
		data.Form.Notice = onceMore(wordsOf(r))
		p.renderSale(w, r, http.StatusOK, data)
		return
	}
	var held struct {
		Order domain.OrderID `json:"order"`
		Token string         `json:"token"`
	}
	q := question{
		method: http.MethodPost, path: "/v1/sales/" + sale.ID + "/checkouts",
		header: http.Header{"Idempotency-Key": {`"` + form.Key + `"`}},
		body: struct {
			Items []checkoutItem `json:"items"`
			Buyer checkoutBuyer  `json:"buyer"`
			// The same form sent again is the same body, so this is the form's language.
			Metadata domain.Metadata `json:"metadata"`
			Code     string          `json:"code,omitempty"`
		}{items, checkoutBuyer{form.Email}, domain.Metadata{domain.LanguageKey: wordsOf(r).Tag}, form.codeToUse(sale)},
	}
	if form.QueueToken != "" {
		q.header.Set("Queue-Token", form.QueueToken)
	}
	if cookie, err := r.Cookie(domain.HeldCookieName(sale.ID)); err == nil {
		q.header.Set("Cookie", cookie.Name+"="+cookie.Value)
	}
	q.header.Set("Origin", originOf(r))
	a, err := p.ask(r, requestID(w), q, &held)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case a.ok():
		for _, cookie := range a.cookies {
			w.Header().Add("Set-Cookie", cookie)
		}
		setCookie(w, r, orderCookie, held.Token, "/orders/"+held.Order.String(), cookieAge)
		if kept := form.keptForm(); kept != "" {
			setCookie(w, r, againCookie, kept, "/orders/"+held.Order.String(), againLife)
		}
		if form.QueueToken != "" {
			forgetPlace(w, r, sale.ID) // it has served its purpose
			setCookie(w, r, basketCookie, "", "/queue/"+form.QueueToken, -time.Second)
		}
		http.Redirect(w, r, "/orders/"+held.Order.String()+"#"+held.Token, http.StatusSeeOther)
	default:
		p.refused(w, r, sale, form, a)
	}
}

// originOf is what a script of the page would send as its Origin.
func originOf(r *http.Request) string {
	if isSecure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// setCookie sets a cookie that no script and no other site can read. A negative age
// removes it.
func setCookie(w http.ResponseWriter, r *http.Request, name, value, path string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(age / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: isSecure(r),
	})
}

// refused shows the form again as it was filled in, with what the API said.
func (p *pages) refused(w http.ResponseWriter, r *http.Request, sale *domain.Sale, form formData, a answer) {
	in, held := wordsOf(r), p.heldOrders(w, r, sale)
	form.Notice = checkoutRefusal(in, sale, a.problem, form.QueueToken != "", ticketsOf(held))
	if own := a.problem.Own; own != nil && len(held) == 0 {
		form.Notice.Order = "/orders/" + own.Order.String() + "#" + own.Token
	}
	if form.Repeat = a.openEnded(); form.Repeat {
		form.Notice = &notice{
			Kind:    "warn",
			Heading: in.t("No answer yet"),
			Text:    in.t("We do not know whether your seats are held. Press the button again: it repeats the same order and never a second one."),
		}
	} else {
		form.Key = newKey() // the old one has its answer
	}
	if form.QueueToken == "" {
		data := p.saleData(r, sale)
		data.Form, data.Held = form, held
		p.openClasses(w, r, sale, &data)
		if sale.WaitingRoom {
			data.JoinNotice = form.Notice // there is no form to check out, but one to join
		}
		p.renderSale(w, r, a.status, data)
		return
	}
	// The place may have changed meanwhile. If it cannot be read, the form stays.
	found := place{Sale: sale.ID, Status: placeAdmitted}
	again, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/queue/" + form.QueueToken}, &found)
	if err != nil || !again.ok() || found.Sale != sale.ID {
		found = place{Sale: sale.ID, Status: placeAdmitted}
	}
	data := p.place(r, sale, found, form.QueueToken, again.retryAfter, held)
	data.Form, data.RefreshSecs = form, 0 // this page is the answer to a form and cannot be reloaded
	p.openClasses(w, r, sale, &data.saleData)
	// Any other refusal takes nothing: the place can still be used.
	if data.Rejoin = a.problem.Code == "key_reused"; data.Rejoin {
		forgetPlace(w, r, sale.ID)
	}
	p.renderPlace(w, r, a.status, data)
}

// readForm reads what can be read. The API says what is wrong with it.
func readForm(r *http.Request, sale *domain.Sale) (formData, []checkoutItem) {
	form := formData{
		Key: postedKey(r), Email: strings.TrimSpace(r.PostForm.Get("email")), Code: postedCode(r), Quantities: make(map[string]int64),
	}
	if token := r.PostForm.Get("queue_token"); tokenPattern.MatchString(token) {
		form.QueueToken = token
	}
	items := []checkoutItem{}
	for _, class := range sale.Classes {
		n, err := strconv.ParseInt(strings.TrimSpace(r.PostForm.Get("quantity-"+class.Name)), 10, 32)
		if err != nil || n <= 0 {
			continue
		}
		form.Quantities[class.Name] = n
		items = append(items, checkoutItem{class.Name, n})
	}
	return form, items
}

// postedKey is the Idempotency-Key of a form, or a new one if it has none.
func postedKey(r *http.Request) string {
	key := r.PostForm.Get("key")
	if len(key) > keyLenMax || strings.ContainsAny(key, "\"\\\r\n") || key == "" {
		return newKey()
	}
	return key
}

// newKey is a UUIDv7, as the scripts make them: the order's id then carries its time.
func newKey() string { return uuid.Must(uuid.NewV7()).String() }

// An orderView is what the page of an order shows without JavaScript.
type orderView struct {
	Order         string             `json:"order"`
	Sale          string             `json:"sale"`
	SaleName      string             `json:"sale_name"`
	Status        domain.OrderStatus `json:"status"`
	Amount        int64              `json:"amount"`
	Currency      string             `json:"currency"`
	HoldExpiresAt *time.Time         `json:"hold_expires_at"`
	PaymentURL    string             `json:"payment_url"`
	Declines      int                `json:"declines"`
	AttemptsLeft  int                `json:"attempts_left"`
	Items         []struct {
		Class     string `json:"class"`
		Label     string `json:"label"`
		Quantity  int64  `json:"quantity"`
		UnitPrice int64  `json:"unit_price"`
	} `json:"items"`
	Tickets []ticketView `json:"tickets"`
	Void    []ticketView `json:"void_tickets"`
	Perk    *struct {
		Name  string `json:"name"`
		Taken bool   `json:"taken"`
	} `json:"perk"`
	SaleCanceledAt *time.Time   `json:"sale_canceled_at"`
	HoldersOpen    bool         `json:"holders_open"`
	HoldersUntil   *time.Time   `json:"holders_until"`
	Facts          domain.Facts `json:"facts"`

	Processing     bool       `json:"processing"`
	SeatsKeptUntil *time.Time `json:"seats_kept_until"`

	Asking   bool       `json:"-"` // whether the buyer paid is not known yet
	OnItsWay *time.Time `json:"-"` // if the payment is: until when the seats are kept for it
}

// A ticketView is a ticket of an orderView.
type ticketView struct {
	Number int    `json:"number"`
	Class  string `json:"class"`
	Code   string `json:"code"`
	Holder string `json:"holder"`

	QR   template.HTML `json:"-"`
	Void bool          `json:"-"`
}

// All are the order's tickets, valid or void. As soon as the sale is canceled they are void.
func (v *orderView) All() []ticketView {
	all := slices.Concat(v.Tickets, v.Void)
	for i := range all {
		if all[i].Void = i >= len(v.Tickets) || v.SaleCanceledAt != nil; all[i].Void {
			all[i].QR = ""
		}
	}
	return all
}

// Label is what the organiser calls a class of the order; empty: nothing.
func (v *orderView) Label(class string) string {
	for _, item := range v.Items {
		if item.Class == class {
			return item.Label
		}
	}
	return ""
}

// CanRetry reports whether the order came to nothing that its buyer still wanted.
func (v *orderView) CanRetry() bool { return canRetry(v.Status) && v.SaleCanceledAt == nil }

// IsFree: there is no money in the order, none to pay and none to go back.
func (v *orderView) IsFree() bool { return v.Amount == 0 && v.PaymentURL == "" }

// readOrder reads an order for a browser that made it with a form, and has no script to
// ask for it; nil for everybody else.
func (p *pages) readOrder(w http.ResponseWriter, r *http.Request, id domain.OrderID) *orderView {
	cookie, err := r.Cookie(orderCookie)
	if err != nil {
		return nil
	}
	asking, keptUntil := p.askWhetherPaid(w, r, id, cookie.Value)
	view, err := p.askOrder(w, r, id, cookie.Value)
	if err != nil || view == nil {
		return nil
	}
	if view.Status == domain.OrderHeld {
		view.Asking, view.OnItsWay = asking || view.Processing, keptUntil
		if view.Processing {
			view.OnItsWay = view.SeatsKeptUntil
		}
	}
	if _, err := r.Cookie(againCookie); err == nil && view.Status.Sold() {
		setCookie(w, r, againCookie, "", "/orders/"+id.String(), -time.Second) // there is nothing to try again
	}
	for i := range view.Tickets {
		// Without its image a ticket still has its letters.
		if image, err := qrcode.SVG(view.Tickets[i].Code); err == nil {
			view.Tickets[i].QR = template.HTML(image) // drawn here, of squares only
		}
	}
	return view
}

// askOrder reads an order with its token; nil if the API does not know it by that token.
func (p *pages) askOrder(w http.ResponseWriter, r *http.Request, id domain.OrderID, token string) (*orderView, error) {
	var view orderView
	a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/orders/" + id.String(), header: bearer(token)}, &view)
	switch {
	case err != nil:
		return nil, err
	case a.openEnded():
		return nil, fmt.Errorf("storefront: order %s: HTTP %d", id, a.status)
	case !a.ok():
		return nil, nil
	}
	return &view, nil
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// payingCookie says that a browser without JavaScript went to pay for the order of the
// page. It stays until the provider says that nothing was paid.
const payingCookie = "boxoffice-paying"

// pay leads a browser without JavaScript to where the order is paid.
func (p *pages) pay(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseOrderID(r.PathValue("order"))
	if err != nil {
		p.notFound(w, r)
		return
	}
	page := "/orders/" + id.String()
	view := p.readOrder(w, r, id)
	if view == nil || view.Status != domain.OrderHeld || view.SaleCanceledAt != nil || view.Asking || view.IsFree() {
		http.Redirect(w, r, page, http.StatusSeeOther)
		return
	}
	if to, err := url.Parse(view.PaymentURL); err != nil || view.PaymentURL == "" || !slices.Contains([]string{"", "https", "http"}, to.Scheme) {
		p.unavailable(w, r, errors.New("storefront: an order has no address to pay at"))
		return
	}
	setCookie(w, r, payingCookie, "1", page, cookieAge)
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, view.PaymentURL, http.StatusSeeOther)
}

// askWhetherPaid has the provider asked for a browser without JavaScript that went to
// pay. It reports whether there is no answer yet, and, if the payment is on its way, until
// when the seats are kept for it.
func (p *pages) askWhetherPaid(w http.ResponseWriter, r *http.Request, id domain.OrderID, token string) (asking bool, keptUntil *time.Time) {
	if cookie, err := r.Cookie(payingCookie); err != nil || cookie.Value == "" {
		return false, nil
	}
	var check struct {
		SeatsKeptUntil *time.Time `json:"seats_kept_until"`
	}
	a, err := p.ask(r, requestID(w), question{method: http.MethodPost, path: "/v1/orders/" + id.String() + "/check-payment", header: bearer(token)}, &check)
	switch {
	case err != nil, a.openEnded():
		return true, nil
	case a.status == http.StatusAccepted:
		return true, check.SeatsKeptUntil
	}
	setCookie(w, r, payingCookie, "", "/orders/"+id.String(), -time.Second)
	return false, nil
}

// cancelOrder gives the seats of an order back, for a browser without JavaScript that
// made it. The order's page says what happened.
func (p *pages) cancelOrder(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseOrderID(r.PathValue("order"))
	if err != nil {
		p.notFound(w, r)
		return
	}
	cookie, err := r.Cookie(orderCookie)
	if err != nil {
		http.Redirect(w, r, "/orders/"+id.String(), http.StatusSeeOther)
		return
	}
	a, err := p.ask(r, requestID(w), question{method: http.MethodPost, path: "/v1/orders/" + id.String() + "/cancel", header: bearer(cookie.Value)}, nil)
	switch {
	case err != nil || a.openEnded():
		in := wordsOf(r)
		p.render(w, r, http.StatusServiceUnavailable, "error", page{Title: in.t("One moment"), Data: errorData{
			in.t("We do not know whether the order is canceled"), in.t("Please go back and press the button again: that does no harm."),
		}})
	default:
		http.Redirect(w, r, "/orders/"+id.String(), http.StatusSeeOther)
	}
}

// heldOrders are the orders of a sale that this browser has on hold, by the cookie that
// the API gave it. If the API does not answer, they are not shown.
func (p *pages) heldOrders(w http.ResponseWriter, r *http.Request, sale *domain.Sale) []orderView {
	cookie, err := r.Cookie(domain.HeldCookieName(sale.ID))
	if err != nil {
		return nil
	}
	order, token, ok := domain.ParseHeldCookie(cookie.Value)
	if !ok || !tokenPattern.MatchString(token) {
		return nil
	}
	view, err := p.askOrder(w, r, order, token)
	if err != nil || view == nil || view.Sale != sale.ID || view.Status != domain.OrderHeld {
		return nil
	}
	return []orderView{*view}
}

func ticketsOf(orders []orderView) (n int64) {
	for _, order := range orders {
		for _, item := range order.Items {
			n += item.Quantity
		}
	}
	return n
}

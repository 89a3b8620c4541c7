package stripetest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type session struct {
	id, status, paymentStatus, currency, name, returnURL string
	amount                                               int64
	created, expires                                     time.Time
	metadata, paymentMetadata                            map[string]string
	payment                                              *payment // from the first attempt on
	manual                                               bool     // its payment is captured later
	methods                                              []string // that it offers
}

type payment struct {
	id, status, currency string
	amount               int64
	chargedAt            time.Time // zero: no charge
	metadata             map[string]string
	manual               bool
}

type refund struct {
	id, status string
	payment    *payment
	amount     int64
	created    time.Time
	metadata   map[string]string
}

type dispute struct {
	id, status, reason string
	payment            *payment
	amount             int64
	created            time.Time
}

// takes: Stripe has withdrawn the money.
func (d *dispute) takes() bool {
	return d.status == "needs_response" || d.status == "under_review" || d.status == "lost"
}

// isOpen: it keeps the charge from being refunded.
func (d *dispute) isOpen() bool { return d.status == "needs_response" || d.status == "under_review" }

// minimum is the least that Stripe charges, in its units, as far as tests go
// (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
var minimum = map[string]int64{"eur": 50, "usd": 50, "jpy": 50, "kwd": 0}

// A session lives 30 minutes to 24 hours.
const (
	sessionMin = 30 * time.Minute
	sessionMax = 24 * time.Hour
)

func (s *Server) createSession(form url.Values) answer {
	now := s.Now()
	const item = "line_items[0][price_data]"
	amount, amountErr := strconv.ParseInt(form.Get(item+"[unit_amount]"), 10, 64)
	currency := form.Get(item + "[currency]")
	expires := now.Add(sessionMax)
	if text := form.Get("expires_at"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		expires = time.Unix(seconds, 0)
		if err != nil || expires.Before(now.Add(sessionMin).Truncate(time.Second)) || expires.After(now.Add(sessionMax)) {
			return invalid("", "expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
		}
	}
	least, isKnown := minimum[currency]
	switch {
	case form.Get("mode") != "payment" || form.Get("success_url") == "" || form.Get("line_items[0][quantity]") != "1":
		return invalid("parameter_missing", "mode", "This double opens sessions in mode payment, for one item, with an address to return to.")
	case amountErr != nil || amount < 0:
		return invalid("parameter_invalid_integer", item+"[unit_amount]", "Invalid non-negative integer")
	case !isKnown:
		return invalid("", item+"[currency]", "Invalid currency: "+currency)
	case amount < least:
		return invalid("amount_too_small", "", "The Checkout Session's total amount due must add up to at least its currency's minimum.")
	case amount > 99_999_999:
		return invalid("amount_too_large", item+"[unit_amount]", "Amount must be no more than 999,999.99")
	case !slices.Contains([]string{"", "automatic", "manual"}, form.Get("payment_intent_data[capture_method]")):
		return invalid("", "payment_intent_data[capture_method]", "Invalid capture_method")
	case currency == "kwd" && amount%10 != 0:
		return invalid("", item+"[unit_amount]", "The amount must be a multiple of 10 in this currency.")
	}
	opened := &session{
		id: "cs_test_" + rand.Text(), status: "open", paymentStatus: "unpaid", currency: currency, amount: amount,
		name: form.Get(item + "[product_data][name]"), returnURL: form.Get("success_url"), created: now, expires: expires,
		metadata: metadata(form, "metadata"), paymentMetadata: metadata(form, "payment_intent_data[metadata]"),
		manual: form.Get("payment_intent_data[capture_method]") == "manual",
	}
	for i := 0; form.Has(fmt.Sprintf("payment_method_types[%d]", i)); i++ {
		opened.methods = append(opened.methods, form.Get(fmt.Sprintf("payment_method_types[%d]", i)))
	}
	s.sessions[opened.id] = opened
	s.opened = append(s.opened, opened)
	return found(s.sessionObject(opened, false))
}

// metadata reads the keys of prefix[…].
func metadata(form url.Values, prefix string) map[string]string {
	meta := make(map[string]string)
	for key, values := range form {
		if inner, ok := strings.CutPrefix(key, prefix+"["); ok {
			meta[strings.TrimSuffix(inner, "]")] = values[0]
		}
	}
	return meta
}

// session finds one, and lets it expire where its time is over.
func (s *Server) session(id string) *session {
	found := s.sessions[id]
	if found != nil && found.status == "open" && !s.Now().Before(found.expires) {
		s.expire(found)
	}
	return found
}

func (s *Server) expire(one *session) {
	one.status = "expired"
	if one.payment != nil {
		one.payment.status = "canceled"
	}
	s.emit("checkout.session.expired", s.sessionObject(one, false))
}

func (s *Server) readSession(id string, form url.Values) answer {
	one := s.session(id)
	if one == nil {
		return missing("checkout.session", id)
	}
	return found(s.sessionObject(one, expands(form, "payment_intent.latest_charge")))
}

func expands(form url.Values, path string) bool {
	for key, values := range form {
		if strings.HasPrefix(key, "expand[") && values[0] == path {
			return true
		}
	}
	return false
}

func (s *Server) expireSession(id string) answer {
	one := s.session(id)
	switch {
	case one == nil:
		return missing("checkout.session", id)
	case one.status != "open":
		return invalid("", "", fmt.Sprintf(`Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of %s.`, one.status))
	}
	s.expire(one)
	return found(s.sessionObject(one, false))
}

func (s *Server) listSessions(form url.Values) answer {
	var all []object
	for _, one := range slices.Backward(s.opened) {
		status, of := form.Get("status"), form.Get("payment_intent")
		isOf := of == "" || one.payment != nil && one.payment.id == of
		if isOf && isSince(form, one.created) && (status == "" || s.session(one.id).status == status) {
			all = append(all, s.sessionObject(one, expands(form, "data.payment_intent.latest_charge")))
		}
	}
	return page(all, form, "/v1/checkout/sessions")
}

// isSince: a list begins at created[gte], if that is given.
func isSince(form url.Values, created time.Time) bool {
	first, err := strconv.ParseInt(form.Get("created[gte]"), 10, 64)
	return err != nil || created.Unix() >= first
}

type object = map[string]any

func (s *Server) sessionObject(one *session, isExpanded bool) object {
	var link, intent any
	if one.status == "open" {
		link = s.URL + "/pay/" + one.id
	}
	if one.payment != nil {
		intent = one.payment.id
		if isExpanded {
			intent = paymentObject(one.payment)
		}
	}
	return object{
		"id": one.id, "object": "checkout.session", "status": one.status, "payment_status": one.paymentStatus, "mode": "payment",
		"currency": one.currency, "amount_total": one.amount, "amount_subtotal": one.amount, "metadata": one.metadata,
		"client_reference_id": one.metadata["boxoffice.order"], "payment_intent": intent, "url": link, "success_url": one.returnURL,
		"created": one.created.Unix(), "expires_at": one.expires.Unix(), "livemode": false,
	}
}

func paymentObject(p *payment) object {
	var charge any
	if !p.chargedAt.IsZero() {
		charge = object{
			"id": "ch_" + p.id[3:], "object": "charge", "created": p.chargedAt.Unix(), "amount": p.amount, "currency": p.currency,
			"paid": true, "captured": p.status == "succeeded", "payment_intent": p.id, "metadata": p.metadata,
		}
	}
	captureMethod := "automatic"
	if p.manual {
		captureMethod = "manual"
	}
	return object{
		"id": p.id, "object": "payment_intent", "status": p.status, "capture_method": captureMethod,
		"amount": p.amount, "currency": p.currency, "latest_charge": charge,
		"metadata": p.metadata, "livemode": false,
	}
}

func (s *Server) readPayment(id string, form url.Values) answer {
	p := s.payments[id]
	if p == nil {
		return missing("payment_intent", id)
	}
	of := paymentObject(p)
	if charge, ok := of["latest_charge"].(object); ok {
		charge["disputed"] = slices.ContainsFunc(s.disputes, func(d *dispute) bool { return d.payment == p })
		if !expands(form, "latest_charge") {
			of["latest_charge"] = charge["id"]
		}
	}
	return found(of)
}

func disputeObject(d *dispute, isExpanded bool) object {
	var intent any = d.payment.id
	if isExpanded {
		intent = paymentObject(d.payment)
	}
	return object{
		"id": d.id, "object": "dispute", "status": d.status, "reason": d.reason, "amount": d.amount, "currency": d.payment.currency,
		"charge": "ch_" + d.payment.id[3:], "payment_intent": intent, "created": d.created.Unix(), "metadata": object{}, "livemode": false,
		"is_charge_refundable": !d.isOpen(), "evidence_details": object{"due_by": d.created.Add(7 * 24 * time.Hour).Unix()},
	}
}

func (s *Server) readDispute(id string, form url.Values) answer {
	for _, d := range s.disputes {
		if d.id == id {
			return found(disputeObject(d, expands(form, "payment_intent")))
		}
	}
	return missing("dispute", id)
}

func (s *Server) listDisputes(form url.Values) answer {
	var all []object
	for _, d := range slices.Backward(s.disputes) {
		if of := form.Get("payment_intent"); isSince(form, d.created) && (of == "" || d.payment.id == of) {
			all = append(all, disputeObject(d, expands(form, "data.payment_intent")))
		}
	}
	return page(all, form, "/v1/disputes")
}

func (s *Server) readRefund(id string, form url.Values) answer {
	for _, r := range s.refunds {
		if r.id == id {
			return found(refundObject(r, expands(form, "payment_intent")))
		}
	}
	return missing("refund", id)
}

// capturePayment and cancelPayment end what is authorised. A payment leaves requires_capture once.
func (s *Server) capturePayment(id string) answer {
	return s.endAuthorized(id, func(p *payment) answer {
		if s.refusing {
			return refusal(http.StatusPaymentRequired, "card_error", "card_declined", "", "The card's bank refused the capture.")
		}
		p.status = "succeeded"
		for _, one := range s.opened {
			if one.payment == p {
				one.paymentStatus = "paid"
			}
		}
		s.emit("payment_intent.succeeded", paymentObject(p))
		return found(paymentObject(p))
	})
}

func (s *Server) cancelPayment(id string) answer {
	return s.endAuthorized(id, func(p *payment) answer {
		p.status = "canceled"
		s.emit("payment_intent.canceled", paymentObject(p))
		given := &refund{id: "re_" + rand.Text(), status: "succeeded", payment: p, amount: p.amount, created: s.Now()} // of what was held
		s.refunds = append(s.refunds, given)
		s.emit("refund.created", refundObject(given, false))
		return found(paymentObject(p))
	})
}

func (s *Server) endAuthorized(id string, end func(*payment) answer) answer {
	p := s.payments[id]
	switch {
	case p == nil:
		return missing("payment_intent", id)
	case p.status != "requires_capture":
		return invalid("payment_intent_unexpected_state", "", "This PaymentIntent could not be captured or canceled because it has a status of "+p.status+".")
	default:
		return end(p)
	}
}

func (s *Server) createRefund(form url.Values) answer {
	p := s.payments[form.Get("payment_intent")]
	if p == nil {
		return missing("payment_intent", form.Get("payment_intent"))
	}
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	isDisputed := slices.ContainsFunc(s.disputes, func(d *dispute) bool { return d.payment == p && d.isOpen() })
	left := p.amount
	for _, earlier := range s.refunds {
		if earlier.payment == p && earlier.status != "failed" {
			left -= earlier.amount
		}
	}
	switch {
	case p.chargedAt.IsZero() || p.status != "succeeded":
		return invalid("", "payment_intent", "This PaymentIntent does not have a successful charge to refund.")
	case err != nil || amount < 1:
		return invalid("parameter_invalid_integer", "amount", "Invalid positive integer")
	case isDisputed:
		return invalid("charge_disputed", "", "This charge is disputed and cannot be refunded.")
	case left == 0:
		return invalid("charge_already_refunded", "", "Charge has already been refunded.")
	case amount > left:
		return invalid("", "amount", "Refund amount is greater than unrefunded amount on charge")
	}
	done := &refund{id: "re_" + rand.Text(), status: "succeeded", payment: p, amount: amount, created: s.Now(), metadata: metadata(form, "metadata")}
	s.refunds = append(s.refunds, done)
	s.emit("refund.created", refundObject(done, false))
	return found(refundObject(done, false))
}

func refundObject(r *refund, isExpanded bool) object {
	var intent any = r.payment.id
	if isExpanded {
		intent = paymentObject(r.payment)
	}
	return object{
		"id": r.id, "object": "refund", "status": r.status, "payment_intent": intent, "amount": r.amount, "currency": r.payment.currency,
		"created": r.created.Unix(), "metadata": r.metadata,
	}
}

func (s *Server) listRefunds(form url.Values) answer {
	var all []object
	for _, r := range slices.Backward(s.refunds) {
		if of := form.Get("payment_intent"); isSince(form, r.created) && (of == "" || r.payment.id == of) {
			all = append(all, refundObject(r, expands(form, "data.payment_intent")))
		}
	}
	return page(all, form, "/v1/refunds")
}

// page answers a part of a list (https://docs.stripe.com/api/pagination).
func page(all []object, form url.Values, path string) answer {
	limit, err := strconv.Atoi(form.Get("limit"))
	if form.Get("limit") == "" {
		limit, err = 10, nil
	}
	if err != nil || limit < 1 || limit > 100 {
		return refusal(http.StatusBadRequest, "invalid_request_error", "parameter_invalid_integer", "limit", "limit must be 1–100")
	}
	if after := form.Get("starting_after"); after != "" {
		i := slices.IndexFunc(all, func(o object) bool { return o["id"] == after })
		if i < 0 {
			return missing("starting_after", after)
		}
		all = all[i+1:]
	}
	hasMore := len(all) > limit
	if hasMore {
		all = all[:limit]
	}
	if all == nil {
		all = []object{}
	}
	return found(object{"object": "list", "url": path, "has_more": hasMore, "data": all})
}

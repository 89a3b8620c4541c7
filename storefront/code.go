package storefront

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"boxoffice/domain"
)

// Codes for hidden classes. The code is sent with forms and never stands in an address.

// code shows the classes that a code opens: on the page of the sale, or on that of a place.
func (p *pages) code(w http.ResponseWriter, r *http.Request) {
	r, sale := p.postedForm(w, r)
	if sale == nil {
		return
	}
	form, _ := readForm(r, sale)
	if form.QueueToken == "" {
		data := p.saleData(r, sale)
		data.Form, data.Held = form, p.heldOrders(w, r, sale)
		if sale.WaitingRoom && !sale.Canceled() {
			data.KeptPlace = p.keptPlace(w, r, sale.ID)
		}
		p.renderSale(w, r, p.openClasses(w, r, sale, &data), data)
		return
	}
	var found place
	a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/queue/" + form.QueueToken}, &found)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
		return
	case !a.ok() && a.openEnded():
		p.busy(w, r, a, "Your place is safe")
		return
	case !a.ok() || found.Sale != sale.ID:
		p.unknownPlace(w, r)
		return
	}
	data := p.place(r, sale, found, form.QueueToken, a.retryAfter, p.heldOrders(w, r, sale))
	prepared := data.Form
	data.Form, data.RefreshSecs = form, 0
	data.Form.Email, data.Form.Quantities = prepared.Email, prepared.Quantities
	p.renderPlace(w, r, p.openClasses(w, r, sale, &data.saleData), data)
}

// postedCode is the code of a form. One that is too long for a code is none.
func postedCode(r *http.Request) string {
	code := strings.TrimSpace(r.PostForm.Get("code"))
	if len(code) > domain.SecretCodeShownMax {
		return code[:domain.SecretCodeShownMax]
	}
	return code
}

// codeToUse is the code of the form, if a hidden class is chosen: it is not used up for others.
func (f *formData) codeToUse(sale *domain.Sale) string {
	for _, class := range sale.Classes {
		if class.Hidden && f.Quantities[class.Name] > 0 {
			return f.Code
		}
	}
	return ""
}

type openedClass struct {
	Class string `json:"class"`
}

// openClasses adds the classes that the form's code opens, and returns the status of the page.
func (p *pages) openClasses(w http.ResponseWriter, r *http.Request, sale *domain.Sale, data *saleData) int {
	if !data.TakesCodes || data.Form.Code == "" {
		data.Form.Code = ""
		return http.StatusOK
	}
	in := wordsOf(r)
	var opened struct {
		Left    int64         `json:"left"`
		Held    int64         `json:"held"`
		Classes []openedClass `json:"classes"`
	}
	q := question{method: http.MethodPost, path: "/v1/sales/" + sale.ID + "/code", body: struct {
		Code string `json:"code"`
	}{data.Form.Code}}
	a, err := p.ask(r, requestID(w), q, &opened)
	if err != nil || !a.ok() {
		data.CodeNotice = codeRefusal(in, a, err)
		if err == nil && !a.openEnded() {
			data.Form.Code = "" // it opens nothing
			return a.status
		}
		return http.StatusServiceUnavailable
	}
	shown := *sale
	shown.Classes = slices.DeleteFunc(slices.Clone(sale.Classes), func(c domain.Class) bool {
		return c.Hidden && !slices.ContainsFunc(opened.Classes, func(o openedClass) bool { return o.Class == c.Name })
	})
	levels, _ := p.Catalog.Stock(r.Context(), sale)
	data.Classes = classRows(in, &shown, levels, time.Now())
	switch {
	case opened.Left > 0:
		data.CodeNotice = &notice{Heading: in.t("Your code is good"), Text: in.t("The tickets that it opens are in the list. It is used when you order one of them.")}
	case opened.Held > 0:
		data.CodeNotice = &notice{Kind: "warn", Heading: in.t("Your code is in use"), Text: in.t("An order that waits for its payment has it. If that ends without a payment, it is good again.")}
	default:
		data.CodeNotice = &notice{
			Kind: "warn", Heading: in.t("Your code was used already"), Text: in.t("An order has it: if it is yours, its page is in the browser that made it."),
		}
	}
	return http.StatusOK
}

func codeRefusal(in *words, a answer, err error) *notice {
	switch {
	case err == nil && domain.Code(a.problem.Code) == domain.CodeRateLimited:
		return &notice{Kind: "warn", Heading: in.t("Too many tries"), Text: in.t("Too many wrong codes came from your connection. Please try again in some minutes.")}
	case err != nil || a.openEnded():
		return &notice{Kind: "warn", Heading: in.t("No answer yet"), Text: in.t("The box office could not look at your code just now. Please press the button again.")}
	default:
		return &notice{Kind: "bad", Heading: in.t("This code is not known here"), Text: in.t("Please check it letter by letter. Perhaps it is for another sale.")}
	}
}

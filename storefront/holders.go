package storefront

import (
	"net/http"
	"strconv"
	"strings"

	"boxoffice/domain"
)

type holderOfTicket struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
}

// nameHolders says who tickets are for, for a browser without JavaScript that made the order. The order's page shows them.
func (p *pages) nameHolders(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseOrderID(r.PathValue("order"))
	if err != nil {
		p.notFound(w, r)
		return
	}
	in, order := wordsOf(r), "/orders/"+id.String()
	cookie, err := r.Cookie(orderCookie)
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	if err != nil || r.ParseForm() != nil {
		http.Redirect(w, r, order, http.StatusSeeOther)
		return
	}
	var body struct {
		Holders []holderOfTicket `json:"holders"`
	}
	for n := range domain.BuyerLimitMax {
		if name, ok := r.PostForm["holder-"+strconv.Itoa(n+1)]; ok {
			body.Holders = append(body.Holders, holderOfTicket{n + 1, strings.ToValidUTF8(name[0], "")})
		}
	}
	a, err := p.ask(r, requestID(w), question{
		method: http.MethodPut, path: "/v1/orders/" + id.String() + "/holders", header: bearer(cookie.Value), body: body,
	}, nil)
	switch {
	case err != nil || a.openEnded():
		p.render(w, r, http.StatusServiceUnavailable, "error", page{Title: in.t("One moment"), Data: errorData{
			in.t("We do not know whether the names are saved"), in.t("Please go back and press the button again: that does no harm."),
		}})
	case a.problem.Code == string(domain.CodeInvalid):
		p.render(w, r, http.StatusUnprocessableEntity, "error", page{Title: in.t("Please check the names"), Data: errorData{
			in.t("One of the names cannot be saved"), in.t("A name is one line, and not very long. Nothing was changed."),
		}})
	case a.problem.Code == string(domain.CodeHoldersFixed):
		p.render(w, r, http.StatusConflict, "error", page{Title: in.t("Too late"), Data: errorData{
			in.t("The names can no longer be changed"), in.t("Nothing was changed."),
		}})
	default:
		http.Redirect(w, r, order, http.StatusSeeOther)
	}
}

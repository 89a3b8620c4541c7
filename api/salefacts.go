package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"boxoffice/domain"
)

// What a sale says of itself, and how the organiser changes it.

// FactsBody is what people should know of what is sold. Everything is optional.
type FactsBody struct {
	Description string     `json:"description,omitempty" doc:"Plain text, up to 10,000 bytes"`
	Venue       *VenueBody `json:"venue,omitempty"`
	StartsAt    *time.Time `json:"starts_at,omitempty" doc:"When it begins; needs time_zone"`
	EndsAt      *time.Time `json:"ends_at,omitempty" doc:"After starts_at"`
	TimeZone    string     `json:"time_zone,omitempty" doc:"IANA name of the zone where it happens" example:"Europe/Berlin"`
	Terms       string     `json:"terms,omitempty" doc:"Plain text, up to 20,000 bytes"`
	TermsURL    string     `json:"terms_url,omitempty" doc:"https"`
	Imprint     string     `json:"imprint,omitempty" doc:"Who sells. Plain text, up to 2,000 bytes"`

	HolderNames *HolderNamesBody `json:"holder_names,omitempty" doc:"Whether buyers may say who each ticket is for. Absent: they may not"`
}

// VenueBody is where it happens.
type VenueBody struct {
	Name    string `json:"name,omitempty" example:"Tempodrom"`
	Address string `json:"address,omitempty" doc:"Plain text, up to 500 bytes"`
}

func (b *FactsBody) facts() domain.Facts {
	if b == nil {
		return domain.Facts{}
	}
	f := domain.Facts{Description: b.Description, TimeZone: b.TimeZone, Terms: b.Terms, TermsURL: b.TermsURL, Imprint: b.Imprint}
	if b.Venue != nil {
		f.Venue = domain.Venue(*b.Venue)
	}
	if b.StartsAt != nil {
		f.StartsAt = *b.StartsAt
	}
	if b.EndsAt != nil {
		f.EndsAt = *b.EndsAt
	}
	if b.HolderNames != nil {
		f.HolderNames.Asked = b.HolderNames.Asked
		if b.HolderNames.Until != nil {
			f.HolderNames.Until = *b.HolderNames.Until
		}
	}
	return f.Normal()
}

func viewFacts(f domain.Facts) *FactsBody {
	if f.IsZero() {
		return nil
	}
	b := &FactsBody{
		Description: f.Description, StartsAt: timeOrNil(f.StartsAt), EndsAt: timeOrNil(f.EndsAt), TimeZone: f.TimeZone,
		Terms: f.Terms, TermsURL: f.TermsURL, Imprint: f.Imprint,
	}
	if f.Venue != (domain.Venue{}) {
		venue := VenueBody(f.Venue)
		b.Venue = &venue
	}
	if f.HolderNames != (domain.HolderNames{}) {
		b.HolderNames = &HolderNamesBody{f.HolderNames.Asked, timeOrNil(f.HolderNames.Until)}
	}
	return b
}

// ChangeSaleBody changes the members that it names.
type ChangeSaleBody struct {
	Name  *string    `json:"name,omitempty" minLength:"1"`
	Facts *FactsBody `json:"facts,omitempty" doc:"Replaces all facts: send the ones that stay too"`

	BuyersKeptDays *int64 `json:"buyers_kept_days,omitempty" minimum:"0" maximum:"3650" doc:"For how many days after the sale's end the data of its buyers are kept; 0: until they are erased on request"`

	Window  *WindowBody       `json:"window,omitempty" doc:"When the sale takes orders. Replaces opens_at and closes_at: send the one that stays too. What is held already goes on"`
	Classes []ChangeClassBody `json:"classes,omitempty" maxItems:"12" doc:"Classes that are not named stay as they are"`
}

// ChangeClassBody changes a class.
type ChangeClassBody struct {
	Class string  `json:"class" example:"A"`
	Label *string `json:"label,omitempty" doc:"What people call it; empty: its id"`

	Window      *WindowBody `json:"window,omitempty" doc:"When the class is sold, within the sale's window. Replaces opens_at and closes_at; {}: as long as the sale is open"`
	MaxPerOrder *int64      `json:"max_per_order,omitempty" minimum:"0" maximum:"100" doc:"Tickets of the class in one order; 0: as many as a buyer may have"`
}

// WindowBody is when something is sold.
type WindowBody struct {
	OpensAt  *time.Time `json:"opens_at,omitempty" doc:"Absent: from the start"`
	ClosesAt *time.Time `json:"closes_at,omitempty" doc:"Absent: it does not close"`
}

type changeSaleInput struct {
	Sale    string `path:"sale" doc:"The sale's id"`
	IfMatch string `header:"If-Match" doc:"The ETag of the sale that you read, so that nobody's change is lost"`
	Body    ChangeSaleBody
}

// changeSale changes what the ledger does not fix, while the sale runs.
func (s *Server) changeSale(ctx context.Context, in *changeSaleInput) (*saleOutput, error) {
	versions, err := parseIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	out, err := s.applyChange(ctx, in.Sale, domain.SaleChange{Versions: versions}, func(sale *domain.Sale) func(*domain.Editable) error {
		edit := in.Body.edit(sale)
		return func(e *domain.Editable) error {
			if err := edit(e); err != nil {
				return err
			}
			return s.checkMaxPerOrder(&in.Body, sale, e)
		}
	})
	var invalid *domain.Error
	if errors.As(err, &invalid) && invalid.Code == domain.CodeInvalid {
		if sale, missing := s.Catalog.Sale(ctx, in.Sale); missing == nil {
			return nil, in.Body.misstep(sale, invalid)
		}
	}
	return out, err
}

// checkMaxPerOrder refuses more tickets in one order than the sale's provider can take the
// money for. Classes whose max_per_order is not changed were checked before.
func (s *Server) checkMaxPerOrder(b *ChangeSaleBody, sale *domain.Sale, e *domain.Editable) error {
	changed := *sale
	changed.Edit(*e)
	for i := range changed.Classes {
		class := &changed.Classes[i]
		isNamed := slices.ContainsFunc(b.Classes, func(c ChangeClassBody) bool { return c.Class == class.Name && c.MaxPerOrder != nil })
		if !isNamed || class.MaxPerOrder > sale.BuyerLimit { // the sale's own rule says that
			continue
		}
		if rule, tickets := s.checkPrice(&changed, class); rule != "" {
			return domain.Invalid(fmt.Sprintf("classes[%d].max_per_order", i), fmt.Sprintf("lets one order have %d tickets, whose price %s", tickets, rule))
		}
	}
	return nil
}

// misstep names the member of the body that breaks a rule of the sale.
func (b *ChangeSaleBody) misstep(sale *domain.Sale, invalid *domain.Error) error {
	field, inWindow := invalid.Field, func(member string) string {
		if member == "opens_at" || member == "closes_at" {
			return "window." + member
		}
		return member
	}
	var index int
	var member string
	if n, _ := fmt.Sscanf(field, "classes[%d].%s", &index, &member); n == 2 && index < len(sale.Classes) {
		i := slices.IndexFunc(b.Classes, func(c ChangeClassBody) bool { return c.Class == sale.Classes[index].Name })
		if i < 0 { // another class: only the sale's own rules can say so
			return invalid
		}
		field = fmt.Sprintf("classes[%d].%s", i, inWindow(member))
	} else {
		field = inWindow(field)
	}
	named := *invalid
	named.Field, named.Detail = field, field+strings.TrimPrefix(invalid.Detail, invalid.Field)
	return &named
}

// applyChange makes a change and shows the sale as it is then.
func (s *Server) applyChange(
	ctx context.Context, id string, change domain.SaleChange, edit func(*domain.Sale) func(*domain.Editable) error,
) (*saleOutput, error) {
	found, err := s.Catalog.Sale(ctx, id)
	if err != nil {
		return nil, err
	}
	change.Sale, change.Request, change.Edit = found.ID, requestID(ctx), edit(found)
	sale, err := s.Orders.ChangeSale(ctx, change)
	s.Catalog.Forget(found.ID) // also after a failure: the change may have been made, or somebody else's
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "the organiser changed a sale", "request", requestID(ctx), "sale", sale.ID, "version", sale.Version)
	return s.showSale(ctx, sale)
}

// edit returns what to do with a sale's definition. Classes never change, so any reading of the sale names them.
func (b *ChangeSaleBody) edit(sale *domain.Sale) func(*domain.Editable) error {
	return func(e *domain.Editable) error {
		if b.Name != nil {
			e.Name = *b.Name
		}
		if b.Facts != nil {
			e.Facts = b.Facts.facts()
		}
		if b.BuyersKeptDays != nil {
			e.BuyersKeptDays = *b.BuyersKeptDays
		}
		if w := b.Window; w != nil {
			e.Terms.OpensAt, e.Terms.ClosesAt = timeOrZero(w.OpensAt), timeOrZero(w.ClosesAt)
		}
		for i, c := range b.Classes {
			if _, ok := sale.Class(c.Class); !ok {
				return domain.Invalid(fmt.Sprintf("classes[%d].class", i), "must be a class of the sale")
			}
			terms := e.Terms.Classes[c.Class]
			if c.Window != nil {
				terms.OpensAt, terms.ClosesAt = timeOrZero(c.Window.OpensAt), timeOrZero(c.Window.ClosesAt)
			}
			if c.MaxPerOrder != nil {
				terms.MaxPerOrder = *c.MaxPerOrder
			}
			e.Terms.Set(c.Class, terms)
			if c.Label == nil {
				continue
			}
			if e.Labels == nil {
				e.Labels = make(map[string]string)
			}
			if e.Labels[c.Class] = strings.TrimSpace(*c.Label); e.Labels[c.Class] == "" {
				delete(e.Labels, c.Class)
			}
		}
		return nil
	}
}

// etagOf names a version of what the organiser can change of a sale. The stock moves without it.
func etagOf(sale *domain.Sale) string { return strconv.Quote(strconv.FormatInt(sale.Version, 10)) }

// parseIfMatch reads the versions of an If-Match header (RFC 9110, 13.1.1). A * is any version: none is listed. A tag that no sale of
// ours can have matches none.
func parseIfMatch(header string) ([]int64, error) {
	header = strings.TrimSpace(header)
	switch header {
	case "":
		return nil, &domain.Error{Code: codeVersionMissing}
	case "*":
		return nil, nil
	}
	versions := make([]int64, 0, 1)
	for tag := range strings.SplitSeq(header, ",") {
		version := int64(0)
		if inner, ok := strings.CutPrefix(strings.TrimSpace(tag), `"`); ok {
			inner, _ = strings.CutSuffix(inner, `"`)
			version, _ = strconv.ParseInt(inner, 10, 64) // 0, or what is no version either
		}
		versions = append(versions, version)
	}
	return versions, nil
}

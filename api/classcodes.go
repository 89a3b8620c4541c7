package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// Codes for hidden classes. The ledger keeps how often each may be used; nobody keeps the codes.

type openClassesInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body OpenClassesBody
}

// OpenClassesBody is a code for hidden classes.
type OpenClassesBody struct {
	Code string `json:"code" minLength:"1" maxLength:"80" doc:"As the organiser gave it out; case, spaces and hyphens do not matter"`
}

type openClassesOutput struct{ Body OpenClassesView }

// OpenClassesView is what a code opens.
type OpenClassesView struct {
	Sale    string      `json:"sale"`
	Left    int64       `json:"left" doc:"Orders that may still use the code"`
	Held    int64       `json:"held" doc:"Uses of orders that wait for their payment; they may come back"`
	Classes []ClassView `json:"classes" doc:"The hidden classes that the code opens"`
}

// openClasses shows the hidden classes that a code opens. It uses nothing of the code.
func (s *Server) openClasses(ctx context.Context, in *openClassesInput) (*openClassesOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	if err := s.mayGuess(ctx); err != nil {
		return nil, err
	}
	code, err := s.Admission.ClassCode(ctx, sale, in.Body.Code)
	s.countGuess(ctx, err)
	if err == nil && code.Revoked {
		err = &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	if err != nil {
		return nil, err
	}
	levels, err := s.Catalog.Stock(ctx, sale)
	if err != nil {
		return nil, err
	}
	view := OpenClassesView{Sale: sale.ID, Left: code.Left, Held: code.Held, Classes: []ClassView{}}
	now := time.Now()
	for i := range sale.Classes {
		if class := &sale.Classes[i]; class.Hidden && code.Opens(class) {
			view.Classes = append(view.Classes, viewClass(class, levels, now))
		}
	}
	return &openClassesOutput{view}, nil
}

type makeClassCodesInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body MakeClassCodesBody
}

// MakeClassCodesBody creates codes, or brings your own.
type MakeClassCodesBody struct {
	Count int      `json:"count,omitempty" minimum:"1" maximum:"1000" doc:"How many to create, with 80 random bits each"`
	Codes []string `json:"codes,omitempty" minItems:"1" maxItems:"1000" doc:"Your own codes instead: 12–40 letters and digits each, and no guessable words"`
	Uses  int64    `json:"uses,omitempty" minimum:"1" maximum:"10000" doc:"How many orders may use each code; absent: 1"`
	Class string   `json:"class,omitempty" maxLength:"32" doc:"The one hidden class that they open; absent: all of the sale"`
}

type classCodesOutput struct{ Body ClassCodesView }

// ClassCodesView returns codes that were made.
type ClassCodesView struct {
	Uses  int64    `json:"uses" doc:"How many orders may use each"`
	Made  int      `json:"made" doc:"How many codes are new. Your own codes that existed already are unchanged and not counted"`
	Codes []string `json:"codes,omitempty" doc:"The created codes. This is the only time that you see them: only keyed hashes are stored"`
}

// makeClassCodes makes codes that open hidden classes.
func (s *Server) makeClassCodes(ctx context.Context, in *makeClassCodesInput) (*classCodesOutput, error) {
	sale, err := s.saleWithCodes(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	only := uint32(0)
	class, isClass := sale.Class(b.Class)
	switch {
	case (b.Count > 0) == (len(b.Codes) > 0):
		return nil, domain.Invalid("count", "say either how many codes to make, or which")
	case b.Class != "" && (!isClass || !class.Hidden):
		return nil, domain.Invalid("class", "must be a hidden class of the sale")
	case b.Class != "":
		only = class.Ledger
	}
	uses := max(b.Uses, 1)
	shown := b.Codes
	if b.Count > 0 {
		shown = make([]string, b.Count)
		for i := range shown {
			shown[i] = domain.NewSecretCode()
		}
	}
	ids, err := s.classCodeIDs(sale, shown)
	if err != nil {
		return nil, err
	}
	if err := s.Orders.NoteClassCodes(ctx, sale.ID, ids, only, uses); err != nil {
		return nil, err
	}
	isNew, err := s.Books.MakeCodes(ctx, sale, ids, only, uses)
	if err != nil {
		return nil, err
	}
	out := &classCodesOutput{ClassCodesView{Uses: uses}}
	for i, fresh := range isNew {
		if !fresh {
			continue
		}
		out.Body.Made++
		if b.Count > 0 {
			out.Body.Codes = append(out.Body.Codes, shown[i])
		}
	}
	s.log.InfoContext(ctx, "the organiser made codes for hidden classes", "request", requestID(ctx), "sale", sale.ID, "made", out.Body.Made, "uses", uses)
	return out, nil
}

func (s *Server) classCodeIDs(sale *domain.Sale, shown []string) ([]domain.ClassCodeID, error) {
	ids := make([]domain.ClassCodeID, len(shown))
	for i, code := range shown {
		normal, ok := domain.NormalSecretCode(code)
		if !ok {
			return nil, domain.Invalid(fmt.Sprintf("codes[%d]", i),
				fmt.Sprintf("must have %d–%d letters and digits, hyphens and spaces not counted", domain.SecretCodeLenMin, domain.SecretCodeLenMax))
		}
		ids[i] = s.Keys.ClassCodeID(sale.ID, normal)
	}
	return ids, nil
}

type revokeClassCodesInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body RevokeClassCodesBody
}

// RevokeClassCodesBody names codes.
type RevokeClassCodesBody struct {
	Codes []string `json:"codes" minItems:"1" maxItems:"1000" doc:"As they were given out; case, spaces and hyphens do not matter"`
}

// revokeClassCodes ends codes. What has used them stays.
func (s *Server) revokeClassCodes(ctx context.Context, in *revokeClassCodesInput) (*revokedOutput, error) {
	sale, err := s.saleWithCodes(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	ids, err := s.classCodeIDs(sale, in.Body.Codes)
	if err != nil {
		return nil, err
	}
	if err := s.Orders.NoteRevokedCodes(ctx, sale.ID, ids); err != nil {
		return nil, err
	}
	isNew, err := s.Books.RevokeCodes(ctx, sale, ids)
	if err != nil {
		return nil, err
	}
	out := &revokedOutput{}
	for _, wasValid := range isNew {
		if wasValid {
			out.Body.Revoked++
		}
	}
	s.log.InfoContext(ctx, "the organiser revoked codes for hidden classes", "request", requestID(ctx), "sale", sale.ID, "revoked", out.Body.Revoked)
	return out, nil
}

type classCodeUsesOutput struct{ Body ClassCodeUsesView }

// ClassCodeUsesView counts the codes of a sale.
type ClassCodeUsesView struct {
	Codes int64 `json:"codes" doc:"Codes that were made"`
	Uses  int64 `json:"uses" doc:"How many orders they are good for together"`
	Held  int64 `json:"held" doc:"Uses of orders that wait for their payment; they may come back"`
	Used  int64 `json:"used" doc:"Uses of paid orders, without those that were refunded"`
}

func (s *Server) classCodeUses(ctx context.Context, in *saleInput) (*classCodeUsesOutput, error) {
	sale, err := s.saleWithCodes(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	uses, err := s.Books.ClassCodeUses(ctx, sale)
	return &classCodeUsesOutput{ClassCodeUsesView(uses)}, err
}

func (s *Server) saleWithCodes(ctx context.Context, saleID string) (*domain.Sale, error) {
	sale, err := s.Catalog.Sale(ctx, saleID)
	switch {
	case err != nil:
		return nil, err
	case !sale.HasHidden():
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This sale has no hidden class."}
	}
	return sale, nil
}

// routeCodes registers how a buyer shows a code.
func (s *Server) routeCodes(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "open-classes", Method: http.MethodPost, Path: "/v1/sales/{sale}/code",
		Summary: "See the hidden classes that a code opens", Tags: []string{"sales"},
		Description: "It uses nothing of the code; the checkout does, see create-checkout. A client that sends many wrong codes has to wait.",
	}, []domain.Code{
		domain.CodeInvalid, domain.CodeNotFound, domain.CodeClassCodeRefused, domain.CodeOverloaded, codeMediaType,
	}, s.openClasses)
}

// routeCodesAdmin registers how the organiser makes codes.
func (s *Server) routeCodesAdmin(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "make-class-codes", Method: http.MethodPost, Path: "/v1/sales/{sale}/class-codes", DefaultStatus: http.StatusCreated,
		Summary: "Create codes for hidden classes, or bring your own",
		Description: "The answer is the only place where you see created codes. Each request creates new ones: those of a lost answer stay unknown, and nobody can use them. " +
			"Bringing the same codes again changes nothing.",
	}), []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeExists, domain.CodeOverloaded, domain.CodeUnknown, codeMediaType,
	}, s.makeClassCodes)

	operation(s, api, admin(huma.Operation{
		OperationID: "revoke-class-codes", Method: http.MethodPost, Path: "/v1/sales/{sale}/class-codes/revoke",
		Summary: "Revoke codes for hidden classes",
		Description: "No order that is placed from now on may use them. Orders that have used one keep their tickets and may still be paid. " +
			"Codes that the sale does not have are left out. Repeating it changes nothing.",
	}), []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown, codeMediaType,
	}, s.revokeClassCodes)

	operation(s, api, admin(huma.Operation{
		OperationID: "count-class-codes", Method: http.MethodGet, Path: "/v1/sales/{sale}/class-codes",
		Summary: "Count the codes for hidden classes, and their uses", Description: "From the ledger.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.classCodeUses)
}

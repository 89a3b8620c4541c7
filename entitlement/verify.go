package entitlement

import (
	"boxoffice/domain"
)

// A Verifier reads one kind of what buyers show.
type Verifier interface {
	// Verify says what the shown entitlement is worth in a sale that asks for this kind.
	// It calls nobody and stores nothing. It fails with a *domain.Error with
	// CodeBadEntitlement that says what is wrong, without repeating what was shown.
	Verify(sale *domain.Sale, shown string) (domain.Entitlement, error)
}

func verifiersOf(keys *domain.Keyring) map[domain.EntitlementKind]Verifier {
	return map[domain.EntitlementKind]Verifier{
		domain.PresaleCode: codes{keys},
		domain.Invitation:  invitations{keys},
	}
}

func refused(detail string, err error) error {
	return &domain.Error{Code: domain.CodeBadEntitlement, Detail: detail, Err: err}
}

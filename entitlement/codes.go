package entitlement

import "boxoffice/domain"

// codes verifies presale codes. The store keeps a keyed hash of each code, and codes are
// looked up by it.
type codes struct{ keys *domain.Keyring }

func (c codes) Verify(sale *domain.Sale, shown string) (domain.Entitlement, error) {
	code, ok := domain.NormalSecretCode(shown)
	if !ok {
		return domain.Entitlement{}, refused("This is no presale code: it has letters and digits only, 12 to 40 of them.", nil)
	}
	return domain.Entitlement{Kind: domain.PresaleCode, ID: c.id(sale.ID, code)}, nil
}

func (c codes) id(saleID, code string) domain.EntitlementID {
	return c.keys.EntitlementID(saleID, domain.PresaleCode, code)
}

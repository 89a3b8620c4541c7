package postgres

// What the tests, which use the package from outside, need to see.
const (
	UpdateAccounts   = updateAccounts
	ResolveTransfers = resolveTransfers
)

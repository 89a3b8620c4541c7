package domain

import "time"

// An AuditRecord is what one audit of a sale found.
type AuditRecord struct {
	SaleID   string // empty: what belongs to no sale
	EndedAt  time.Time
	Took     time.Duration
	Unread   []string // sources that could not be read
	Waiting  int64    // overdue workflows that retry something or wait for a worker
	Broken   []AuditFinding
	Unjudged []AuditKey // findings that need the unread sources: they stay as they were
}

// An AuditKey identifies one finding within a sale.
type AuditKey struct {
	Invariant string `json:"invariant"`
	Subject   string `json:"subject,omitempty"`
}

// An AuditFinding is a broken invariant. Its JSON is the payload of its events: ids only,
// no buyer's data.
type AuditFinding struct {
	AuditKey
	SaleID    string    `json:"sale,omitempty"`
	Since     time.Time `json:"since"` // when it was first seen
	Offenders int64     `json:"offenders"`
	Listed    []string  `json:"listed,omitempty"` // some of their ids
	Says      string    `json:"says,omitempty"`   // the invariant
	ToDo      string    `json:"to_do,omitempty"`
}

// An AuditOutcome is what Temporal keeps of an audit of all sales: counts and ids, no
// buyer's data. The reports have the rest. Fields are only ever added.
type AuditOutcome struct {
	Sales    int            `json:"sales"`              // sales audited; what belongs to no sale is audited besides
	Broken   int64          `json:"broken"`             // offenders, over all invariants and sales
	Findings []AuditLine    `json:"findings,omitempty"` // some of them
	Unread   map[string]int `json:"unread,omitempty"`   // source → number of sales for which it could not be read
}

// An AuditLine is one broken invariant.
type AuditLine struct {
	Sale      string `json:"sale,omitempty"` // empty: what belongs to no sale
	Invariant string `json:"invariant"`
	Subject   string `json:"subject,omitempty"`
	Offenders int64  `json:"offenders"`
}

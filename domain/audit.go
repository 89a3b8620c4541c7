package domain

import "time"

// An AuditRecord is what one audit of a sale found.
type AuditRecord struct {
	SaleID   string // empty: of what belongs to no sale
	EndedAt  time.Time
	Took     time.Duration
	Unread   []string // sources that could not be read
	Waiting  int64    // workflows that are overdue and retry something, or wait for a worker
	Broken   []AuditFinding
	Unjudged []AuditKey // what needs the unread sources: it stays as it was
}

// An AuditKey tells the findings of one sale apart.
type AuditKey struct {
	Invariant string `json:"invariant"`
	Subject   string `json:"subject,omitempty"`
}

// An AuditFinding is an invariant that is broken. Its JSON is the payload of its
// events: ids only, nothing of a buyer.
type AuditFinding struct {
	AuditKey
	SaleID    string    `json:"sale,omitempty"`
	Since     time.Time `json:"since"` // when it was first seen
	Offenders int64     `json:"offenders"`
	Listed    []string  `json:"listed,omitempty"` // some of their ids
	Says      string    `json:"says,omitempty"`   // the invariant
	ToDo      string    `json:"to_do,omitempty"`
}

// An AuditOutcome is what stands in Temporal of an audit of all sales: counts and ids,
// nothing of a buyer. The whole of it is in the reports. Fields are only ever added.
type AuditOutcome struct {
	Sales    int            `json:"sales"`              // audited, and what belongs to none besides
	Broken   int64          `json:"broken"`             // offenders, over all invariants and sales
	Findings []AuditLine    `json:"findings,omitempty"` // some of them
	Unread   map[string]int `json:"unread,omitempty"`   // source → sales for which it could not be read
}

// An AuditLine is an invariant that is broken.
type AuditLine struct {
	Sale      string `json:"sale,omitempty"` // empty: what belongs to no sale
	Invariant string `json:"invariant"`
	Subject   string `json:"subject,omitempty"`
	Offenders int64  `json:"offenders"`
}

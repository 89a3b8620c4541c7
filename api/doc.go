// Package api is the HTTP contract of the box office: routes, bodies, limits,
// problems (RFC 9457) and the OpenAPI document generated from them.
//
// It decides nothing about a checkout. It turns a request into domain words,
// asks the interfaces of seams.go, and turns the answer back; what is sold,
// held or refunded is the business of the workflows and the ledger. It knows
// neither Temporal nor TigerBeetle nor Postgres.
package api

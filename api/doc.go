// Package api is the HTTP contract of the box office: routes, bodies, limits,
// problems (RFC 9457), streams, and the OpenAPI document generated from them.
//
// It decides nothing about a checkout. It reads a request into domain words,
// asks package admission and the interfaces of seams.go, and writes the answer; who is
// let in is decided by admission, what is sold, held or refunded by the workflows and the
// ledger. It knows neither Temporal nor TigerBeetle nor Postgres.
package api

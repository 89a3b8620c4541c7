// Package api is the HTTP contract of the box office: routes, bodies, limits, problems
// (RFC 9457), streams, and the OpenAPI document generated from them.
//
// It decides nothing about a checkout. It turns a request into domain terms, calls
// package admission and the interfaces in seams.go, and writes the answer. Admission
// decides who is let in; the workflows and the ledger decide what is sold, held or
// refunded. It does not know about Temporal, TigerBeetle or Postgres.
package api

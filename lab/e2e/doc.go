// Package e2e tests the whole box office on real parts: Postgres, a Temporal server,
// MockPay and the service, started by the local stack on free ports. It runs on the
// embedded ledger, and on a real TigerBeetle if there is one on PATH.
//
// It has no code of the product. It learns what it needs over HTTP, from Temporal and
// from the stack's own files, like anybody else.
package e2e

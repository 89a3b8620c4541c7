// Package e2e tests the whole box office on real parts: Postgres, a Temporal
// server, MockPay and the service, started by the local stack on free ports. It
// runs on the embedded ledger, and on a real TigerBeetle where one is on PATH.
//
// It holds no code of the product: what it needs to know it learns over HTTP,
// from Temporal and from the stack's own files, like anybody.
package e2e

// Package webhooks tells other systems of events by HTTP, signed as Standard Webhooks
// specifies (https://www.standardwebhooks.com).
//
// A delivery is a row of the orders database for each event and endpoint. The reader
// (NewReader) writes it once, however often it reads the event. A workflow for each
// endpoint (Delivery), on a task queue of its own, sends it: the workflow waits durably,
// for days if need be, and calls Deliverer.DeliverWebhooks, which sends what is due. So a
// crash anywhere repeats at most what was being sent, under the same webhook-id.
//
// Events of one order or sale are sent one after the other: a later one waits until the one
// before it was accepted or given up. Events of others pass.
package webhooks

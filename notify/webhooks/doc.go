// Package webhooks tells other systems of events by HTTP, signed as Standard Webhooks
// specifies (https://www.standardwebhooks.com).
//
// What is to be sent is a row of the orders database for each event and endpoint: written
// by the reader (Reader), once however often an event is read. That it is sent is the
// business of a workflow for each endpoint (Delivery), on a task queue of its own: it
// waits, durably and for days where it must, and calls Deliverer.DeliverWebhooks, which
// sends what is due. So a crash anywhere repeats at most what was being sent, under the
// same webhook-id.
//
// Of one order or sale, events are sent one after the other: a later one waits until the
// one before it was taken or given up. Those of others pass.
package webhooks

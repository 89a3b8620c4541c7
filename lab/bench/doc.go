// Package bench measures the box office: phases of load against a running
// stack, each at several loads and several times, with what they cost beside
// what they reach.
//
// It speaks the public contract, like any other client, and signs webhooks as
// the payment provider does; what it buys is bought, on a sale of its own.
// Package load makes the load, probe reads the costs, report says it all. It is
// not a test: nothing fails for being slow. But a wrong answer is an error and
// never a fast success, and the audit has the last word.
package bench

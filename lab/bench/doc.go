// Package bench measures the box office: phases of load against a running stack, each at
// several loads and several times, with what they cost and what they reach.
//
// It uses the public contract, like any other client, and signs webhooks as the payment
// provider does. It really buys tickets, in its own sale. Package load makes
// the load, probe reads the costs, report prints it all. It is not a test: nothing fails
// for being slow. But a wrong answer is an error and never a fast success, and the audit
// has the last word.
package bench

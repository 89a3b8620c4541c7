// Package load makes load and measures the outcome: closed loops, in which a number of
// clients each wait for their answer before they ask again, and open loops, in which
// requests arrive at a rate whether or not earlier ones were answered.
//
// In an open loop latency counts from the moment at which a request was meant to be sent.
// So a target that stalls shows its whole queue, even if the generator itself could not
// send in time: there is no coordinated omission (Gil Tene, "How NOT to Measure
// Latency"). A closed loop cannot know what would have arrived: its latencies are service
// times under so many clients, its rate is the figure.
//
// It knows nothing about the requests themselves.
package load
